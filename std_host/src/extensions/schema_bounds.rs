//! What a schema may demand of the host. It comes from strangers, and to check a value by it must take a time that is in
//! proportion to the value, and little stack.

use std::str;

use serde_json::Value;

/// Schemas inside of a schema, each counted as often as `$ref` leads to it: how often a value is looked at, at most.
const MOST_SCHEMAS: usize = 5_000;
/// How deep they are nested.
const MOST_DEPTH: usize = 100;
/// `unevaluated…` inside of one another: each looks a second time at all that is in it.
const MOST_UNEVALUATED: usize = 4;

/// Keywords whose value is a schema, or a list of schemas.
const SCHEMAS: [&str; 16] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Those of them that look back at what the others have looked at.
const UNEVALUATED: [&str; 2] = ["unevaluatedItems", "unevaluatedProperties"];
/// Keywords whose value has a schema for each name.
const NAMED_SCHEMAS: [&str; 4] = ["dependencies", "dependentSchemas", "patternProperties", "properties"];
/// Keywords that give a schema names beside its place in the document, or lead to such.
const NAMES: [&str; 5] = ["$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"];

/// Refuses a schema that leads out of its document, back to itself, or to more than is reasonable. Says how many schemas it is
/// with all inside: so often each part of a value is looked at, at most.
pub(super) fn check(schema: &Value) -> Result<usize, String> {
    let mut walk = Walk { root: schema, schemas: 0, within: Vec::new() };
    walk.enter(schema, 0, 0)?;
    Ok(walk.schemas)
}

/// Values in a value, itself and the names of fields among them.
pub(super) fn values(value: &Value) -> usize {
    let inside = match value {
        Value::Object(fields) => {
            fields.values().map(|field| values(field).saturating_add(1)).fold(0, usize::saturating_add)
        }
        Value::Array(list) => list.iter().map(values).fold(0, usize::saturating_add),
        _ => 0,
    };
    inside.saturating_add(1)
}

/// Patterns in a schema, or in whatever has schemas in it. Each takes memory, and its time for each character.
pub(super) fn patterns(value: &Value) -> usize {
    match value {
        Value::Object(keywords) => keywords
            .iter()
            .map(|(keyword, value)| {
                let own = match (keyword.as_str(), value) {
                    ("pattern", Value::String(_)) => 1,
                    ("patternProperties", Value::Object(named)) => named.len(),
                    _ => 0,
                };
                patterns(value).saturating_add(own)
            })
            .fold(0, usize::saturating_add),
        Value::Array(list) => list.iter().map(patterns).fold(0, usize::saturating_add),
        _ => 0,
    }
}

/// Where a `$ref` leads to inside of its document.
pub(super) fn target<'a>(root: &'a Value, reference: &Value) -> Option<&'a Value> {
    let pointer = reference.as_str()?.strip_prefix('#')?;
    root.pointer(&unescaped(pointer)?)
}

struct Walk<'a> {
    root: &'a Value,
    schemas: usize,
    /// The targets of the `$ref`s that led here.
    within: Vec<*const Value>,
}

impl<'a> Walk<'a> {
    fn enter(&mut self, schema: &'a Value, depth: usize, unevaluated: usize) -> Result<(), String> {
        let Some(keywords) = schema.as_object() else { return Ok(()) };
        self.schemas += 1;
        if self.schemas > MOST_SCHEMAS || depth > MOST_DEPTH || unevaluated > MOST_UNEVALUATED {
            return Err(format!(
                "it is too large: it may have {MOST_SCHEMAS} schemas, counted as often as `$ref` leads to them, \
                 {MOST_DEPTH} inside of one another, and {MOST_UNEVALUATED} `unevaluated…` inside of one another"
            ));
        }
        // In a list of properties these are names like any other; there the value is a schema, and here a text.
        if let Some(name) = NAMES.iter().find(|name| keywords.get(**name).is_some_and(is_name)) {
            return Err(format!(
                "`{name}` can't be used here; refer to a schema by its place: \"#/$defs/…\""
            ));
        }
        if depth > 0 && ["$id", "id"].iter().any(|id| keywords.get(*id).is_some_and(is_name)) {
            return Err("`$id` can only stand at the top".to_owned());
        }
        if let Some(reference) = keywords.get("$ref") {
            self.follow(reference, depth, unevaluated)?;
        }
        for (keyword, value) in keywords {
            let unevaluated = unevaluated + usize::from(UNEVALUATED.contains(&keyword.as_str()));
            let inner: Vec<&Value> = match value {
                Value::Object(named) if NAMED_SCHEMAS.contains(&keyword.as_str()) => named.values().collect(),
                _ if !SCHEMAS.contains(&keyword.as_str()) => continue,
                Value::Array(list) => list.iter().collect(),
                one => vec![one],
            };
            for inner in inner {
                self.enter(inner, depth + 1, unevaluated)?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, reference: &Value, depth: usize, unevaluated: usize) -> Result<(), String> {
        let Some(text) = reference.as_str() else { return Ok(()) };
        if !(text == "#" || text.starts_with("#/")) {
            return Err(format!(
                "`$ref` is {text:?}; it must lead to a place in the same schema: \"#/$defs/…\""
            ));
        }
        // One that leads nowhere is told of by who reads the schema.
        let Some(target) = target(self.root, reference) else { return Ok(()) };
        let address = std::ptr::from_ref(target);
        if std::ptr::eq(target, self.root) || self.within.contains(&address) {
            return Err(format!("`$ref` {text:?} leads back to a schema that it stands in; it must not"));
        }
        self.within.push(address);
        self.enter(target, depth + 1, unevaluated)?;
        self.within.pop();
        Ok(())
    }
}

fn is_name(value: &Value) -> bool {
    value.is_string() || value.is_boolean()
}

/// A pointer in a URI's fragment without its `%`.
fn unescaped(pointer: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = pointer.as_bytes();
    while let [first, after @ ..] = rest {
        if let (b'%', Some((digits, after))) = (first, after.split_at_checked(2)) {
            bytes.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_that_leads_back_to_itself_is_refused() {
        for bad in [
            json!({ "$ref": "#" }),
            json!({ "properties": { "next": { "$ref": "#" } } }),
            json!({ "$defs": { "a": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
            json!({ "$defs": { "a": { "items": { "$ref": "#/%24defs/b" } }, "b": { "not": { "$ref": "#/$defs/a" } } },
                "allOf": [{ "$ref": "#/$defs/b" }] }),
        ] {
            let error = check(&bad).unwrap_err();
            assert!(error.contains("leads back"), "{bad}: {error}");
        }
        // Two ways to one place are no way back.
        let shared = json!({ "$defs": { "a": { "type": "string" } },
            "properties": { "x": { "$ref": "#/$defs/a" }, "y": { "$ref": "#/$defs/a" } } });
        assert!(check(&shared).is_ok());
    }

    #[test]
    fn a_schema_that_grows_beyond_reason_is_refused() {
        let mut doubling = json!({ "$ref": "#/$defs/0" });
        for step in 0..40 {
            let next = json!({ "$ref": format!("#/$defs/{}", step + 1) });
            doubling["$defs"][step.to_string()] = json!({ "anyOf": [next, next] });
        }
        let mut deep = json!({});
        let mut back = json!({});
        for _ in 0..60 {
            deep = json!({ "properties": { "a": deep }, "items": true });
            back = json!({ "properties": { "a": true }, "unevaluatedProperties": back });
        }
        assert!(check(&deep).is_ok());
        let mut chain = json!({ "$ref": "#/$defs/0" });
        for step in 0..200 {
            chain["$defs"][step.to_string()] = json!({ "$ref": format!("#/$defs/{}", step + 1) });
        }
        for bad in [doubling, back, chain, json!({ "allOf": vec![json!({}); MOST_SCHEMAS] })] {
            assert!(check(&bad).unwrap_err().contains("too large"));
        }
    }

    #[test]
    fn a_schema_stays_in_its_document() {
        for bad in [
            json!({ "$ref": "https://example.com/schema" }),
            json!({ "items": { "$ref": "file:///etc/passwd" } }),
            json!({ "$ref": "other.json#/a" }),
            json!({ "not": { "$ref": "#anchor" } }),
            json!({ "$defs": { "a": { "$anchor": "a" } }, "$ref": "#/$defs/a" }),
            json!({ "$dynamicRef": "#a" }),
            json!({ "items": { "$id": "https://example.com/a" } }),
        ] {
            assert!(check(&bad).is_err(), "{bad}");
        }
        // Names of properties, and values.
        let names = json!({ "$id": "https://example.com/a", "properties": { "$ref": {}, "id": {}, "$anchor": true },
            "default": { "$ref": "https://example.com" }, "enum": [{ "$ref": "#" }] });
        assert!(check(&names).is_ok());
    }
}
