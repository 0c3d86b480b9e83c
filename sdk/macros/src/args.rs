//! The arguments of both macros: `key = value`, in any order.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, ExprPath, Ident, Lit, Path, Result, Token};

pub(crate) struct Args {
    /// How messages call the macro, such as `#[job]`.
    macro_name: &'static str,
    /// Where to say that something is missing.
    place: Span,
    given: Vec<Arg>,
}

struct Arg {
    key: Ident,
    value: Expr,
}

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let key: Ident = input.parse().map_err(|error| Error::new(error.span(), "expected `key = value`"))?;
        input.parse::<Token![=]>()?;
        let value = input.parse()?;
        Ok(Self { key, value })
    }
}

impl Args {
    pub(crate) fn parse(
        macro_name: &'static str,
        known: &[&str],
        tokens: TokenStream,
        item: &TokenStream,
    ) -> Result<Self> {
        // Not the call site: rustc adds a note about the macro's own code to errors there.
        let place = if tokens.is_empty() { item.span() } else { tokens.span() };
        let given = Punctuated::<Arg, Token![,]>::parse_terminated.parse2(tokens)?;
        let given: Vec<Arg> = given.into_iter().collect();
        for (index, arg) in given.iter().enumerate() {
            if !known.iter().any(|key| arg.key == key) {
                let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
                let message = format!("unknown key `{}`: {macro_name} takes {}", arg.key, known.join(", "));
                return Err(Error::new(arg.key.span(), message));
            }
            if given.iter().take(index).any(|before| before.key == arg.key) {
                let message = format!("`{}` is given twice", arg.key);
                return Err(Error::new(arg.key.span(), message));
            }
        }
        Ok(Self { macro_name, place, given })
    }

    fn get(&self, key: &str) -> Option<&Expr> {
        let arg = self.given.iter().find(|arg| arg.key == key)?;
        Some(&arg.value)
    }

    fn require(&self, key: &str, example: &str) -> Result<&Expr> {
        self.get(key).ok_or_else(|| {
            let message = format!("`{key}` is missing: {} needs `{key} = {example}`", self.macro_name);
            Error::new(self.place, message)
        })
    }

    /// The text of a key that must be there, and where it stands.
    pub(crate) fn text(&self, key: &str, example: &str) -> Result<(String, Span)> {
        let example = format!("\"{example}\"");
        let value = self.require(key, &example)?;
        match value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) if text.value().is_empty() => {
                    let message = format!("`{key}` must not be empty");
                    Err(Error::new(text.span(), message))
                }
                Lit::Str(text) => Ok((text.value(), text.span())),
                other => Err(wrong(other.span(), key, "text", &example)),
            },
            other => Err(wrong(other.span(), key, "text", &example)),
        }
    }

    /// A text that becomes part of a job's full name.
    pub(crate) fn identifier(&self, key: &str, example: &str) -> Result<String> {
        let (text, span) = self.text(key, example)?;
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
        match text.chars().find(|c| !allowed(*c)) {
            None => Ok(text),
            Some(found) => {
                let message = format!("`{key}` may only hold a-z, 0-9, `_` and `-`, but has {found:?}");
                Err(Error::new(span, message))
            }
        }
    }

    /// A text like `1.2.3` or `1.2.3-rc.1`.
    pub(crate) fn version(&self, key: &str, example: &str) -> Result<String> {
        let (text, span) = self.text(key, example)?;
        let numbers = text.split(['-', '+']).next().unwrap_or_default();
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if numbers.split('.').count() == 3 && numbers.split('.').all(is_number) {
            return Ok(text);
        }
        let message = format!("`{key}` takes three numbers, such as `{key} = \"{example}\"`");
        Err(Error::new(span, message))
    }

    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Expr::Lit(literal)) => match &literal.lit {
                Lit::Bool(value) => Ok(Some(value.value)),
                other => Err(wrong(other.span(), key, "`true` or `false`", "true")),
            },
            Some(other) => Err(wrong(other.span(), key, "`true` or `false`", "true")),
        }
    }

    /// A whole number from 1 to the greatest `u32`.
    pub(crate) fn number(&self, key: &str, example: &str) -> Result<Option<u32>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = match value {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().unwrap_or(0),
            _ => 0,
        };
        if number == 0 {
            return Err(wrong(value.span(), key, "a whole number from 1 to 4294967295", example));
        }
        Ok(Some(number))
    }

    pub(crate) fn path(&self, key: &str, example: &str) -> Result<Option<Path>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match plain_path(value) {
                Some(path) => Ok(Some(path)),
                None => Err(wrong(value.span(), key, "the path of a function", example)),
            },
        }
    }

    /// A list of paths that must be there, each of them once, with the conditions (`#[cfg(…)]`) before each of them.
    pub(crate) fn paths(&self, key: &str, example: &str) -> Result<Vec<(Vec<Attribute>, Path)>> {
        let value = self.require(key, example)?;
        let Expr::Array(list) = value else {
            return Err(wrong(value.span(), key, "a list of functions", example));
        };
        let mut paths: Vec<(Vec<Attribute>, Path)> = Vec::new();
        for element in &list.elems {
            let Some((conditions, path)) = conditional_path(element) else {
                let message = format!("`{key}` takes the names of functions, such as {example}");
                return Err(Error::new(element.span(), message));
            };
            let text = path.to_token_stream().to_string();
            if paths.iter().any(|(_, before)| before.to_token_stream().to_string() == text) {
                let message = "this job stands in the list twice";
                return Err(Error::new(element.span(), message));
            }
            paths.push((conditions, path));
        }
        if paths.is_empty() {
            let message = format!("`{key}` is empty: an extension has at least one job");
            return Err(Error::new(list.span(), message));
        }
        Ok(paths)
    }
}

fn wrong(span: Span, key: &str, what: &str, example: &str) -> Error {
    Error::new(span, format!("`{key}` takes {what}, such as `{key} = {example}`"))
}

fn plain_path(value: &Expr) -> Option<Path> {
    conditional_path(value).filter(|(conditions, _)| conditions.is_empty()).map(|(_, path)| path)
}

fn conditional_path(value: &Expr) -> Option<(Vec<Attribute>, Path)> {
    match value {
        Expr::Path(ExprPath { attrs, qself: None, path })
            if attrs.iter().all(|attr| attr.path().is_ident("cfg")) =>
        {
            Some((attrs.clone(), path.clone()))
        }
        _ => None,
    }
}
