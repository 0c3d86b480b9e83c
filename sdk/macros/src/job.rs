use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, GenericParam, Ident, ItemFn, Path, Result, ReturnType, Safety, Signature, Type};

use crate::args::Args;

const SHAPE: &str = "a job is `fn name(ctx: &JobContext, state: &mut State) -> Result<()>`";

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args = Args::parse("#[job]", &["name", "resumable", "version", "migrate"], args, &item)?;
    let name = args.identifier("name", "my-job")?;
    let resumable = args.boolean("resumable")?.unwrap_or(true);
    let version = args.number("version", "2")?;
    let migrate = args.path("migrate", "from_older")?;
    if let (None, Some(migrate)) = (version, &migrate) {
        let message = "`migrate` needs `version` beside it, the version of the state that the job writes now, \
                       such as `version = 2`";
        return Err(Error::new(migrate.span(), message));
    }

    let span = item.span();
    let function: ItemFn =
        syn::parse2(item).map_err(|_| Error::new(span, format!("#[job] goes on a function: {SHAPE}")))?;
    check(&function.sig)?;

    let visibility = &function.vis;
    let ident = &function.sig.ident;
    let info = info_ident(ident);
    let export = format!("execute_{ident}");
    let conditions = function.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    let conditions: TokenStream = conditions.map(|attr| quote!(#attr)).collect();
    // At the signature, since that is what can have a wrong type.
    let sound = quote_spanned! {function.sig.inputs.span()=>
        ::toehold_sdk::__private::job_is_sound(#ident)
    };

    let version = version.unwrap_or(0);
    let migrate_export = format!("migrate_{ident}");
    let (migrate_info, migrate_code) = match migrate {
        None => (quote!(::core::option::Option::None), TokenStream::new()),
        Some(path) => (
            quote!(::core::option::Option::Some(#migrate_export)),
            migration(&conditions, ident, version, &migrate_export, &path),
        ),
    };

    Ok(quote! {
        #conditions
        #[doc(hidden)]
        #[allow(non_upper_case_globals)]
        #visibility const #info: ::toehold_sdk::JobInfo =
            ::toehold_sdk::JobInfo::new(#name, #export, #resumable).with_state(#version, #migrate_info);

        #conditions
        const _: () = #sound;

        #conditions
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(export_name = #export)]
            extern "C" fn __toehold_execute(
                ctx_ptr: i32,
                ctx_len: i32,
                state_ptr: i32,
                state_len: i32,
            ) -> i32 {
                // SAFETY: nobody can name this function but the host, which hands over both blocks as the ABI says.
                unsafe {
                    ::toehold_sdk::__private::execute(ctx_ptr, ctx_len, state_ptr, state_len, #ident)
                }
            }
        };

        #migrate_code
    })
}

/// The export for older states, beside that of the job.
fn migration(
    conditions: &TokenStream,
    job: &Ident,
    version: u32,
    export: &str,
    migrate: &Path,
) -> TokenStream {
    let sound = quote_spanned! {migrate.span()=>
        ::toehold_sdk::__private::migration_is_sound(#job, #migrate)
    };
    quote! {
        #conditions
        const _: () = #sound;

        #conditions
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(export_name = #export)]
            extern "C" fn __toehold_migrate(from_version: i32, state_ptr: i32, state_len: i32) -> i32 {
                // SAFETY: nobody can name this function but the host, which hands over the block as the ABI says.
                unsafe {
                    ::toehold_sdk::__private::migrate(#version, from_version, state_ptr, state_len, #migrate)
                }
            }
        };
    }
}

/// What `#[extension]` looks for where a job is listed.
pub(crate) fn info_ident(job: &Ident) -> Ident {
    format_ident!("__toehold_job_{job}", span = job.span())
}

fn check(signature: &Signature) -> Result<()> {
    let refuse = |span, what: &str| Err(Error::new(span, format!("{what}: {SHAPE}")));
    if let Some(token) = &signature.asyncness {
        return refuse(token.span(), "a job can't be async, the host waits for it");
    }
    if let Safety::Unsafe(token) = &signature.safety {
        return refuse(token.span(), "a job can't be unsafe");
    }
    if let Some(token) = &signature.abi {
        return refuse(token.span(), "a job has no ABI of its own");
    }
    let mut generics = signature.generics.params.iter();
    if let Some(param) = generics.find(|param| !matches!(param, GenericParam::Lifetime(_))) {
        return refuse(param.span(), "a job can't be generic, its state has one type");
    }
    let mut inputs = signature.inputs.iter();
    let (Some(ctx), Some(state), None) = (inputs.next(), inputs.next(), inputs.next()) else {
        let span = if signature.inputs.is_empty() { signature.ident.span() } else { signature.inputs.span() };
        return refuse(span, "a job takes two parameters");
    };
    if !is_reference(ctx, false) {
        return refuse(ctx.span(), "the first parameter must be `&JobContext`");
    }
    if !is_reference(state, true) {
        return refuse(state.span(), "the second parameter must be `&mut`");
    }
    if let ReturnType::Default = signature.output {
        return refuse(signature.ident.span(), "a job must return `Result<()>`");
    }
    Ok(())
}

fn is_reference(input: &FnArg, mutable: bool) -> bool {
    match input {
        FnArg::Typed(input) => match &*input.ty {
            Type::Reference(reference) => reference.mutability.is_some() == mutable,
            _ => false,
        },
        FnArg::Receiver(_) => false,
    }
}
