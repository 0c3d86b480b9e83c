//! The JSON Schemas of a manifest: of its configuration, and of the states that its jobs are dispatched with.

use std::collections::BTreeMap;

use jsonschema::{PatternOptions, Validator};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::schema_bounds;

/// What is told of a value that does not fit: so many places at most.
const MOST_PROBLEMS: usize = 20;
/// Characters that are shown of each.
const PROBLEM_CHARS: usize = 300;
/// Patterns of one manifest.
const MOST_PATTERNS: usize = 100;
/// Bytes of a value that is looked at by patterns: each of them looks at each character, with all that it may be at.
const MATCHED_BYTES: usize = 64 << 10;
/// How often a value's parts are looked at, one by one, by a schema's: so that a check takes a few seconds at most, since nothing
/// stops it once it has begun.
const MOST_LOOKS: usize = 50_000_000;
/// Bytes of a compiled pattern.
const PATTERN_BYTES: usize = 64 << 10;

/// A schema that was checked, and is ready to check others.
#[derive(Debug)]
pub(super) struct Schema {
    value: Value,
    validator: Validator,
    has_patterns: bool,
    /// With all that are inside.
    schemas: usize,
}

/// The schemas of one manifest.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    pub(super) config: Option<Schema>,
    pub(super) states: BTreeMap<String, Schema>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Keys {
    config_schema: Option<Value>,
    state_schemas: BTreeMap<String, Value>,
}

/// Of a package, which has nothing else there.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StrictKeys {
    config_schema: Option<Value>,
    state_schemas: BTreeMap<String, Value>,
}

/// A key of a manifest that should have a schema, and has something else.
#[derive(Debug)]
pub(super) struct BadSchema {
    pub(super) key: String,
    pub(super) reason: String,
}

impl Schemas {
    /// The schemas in a manifest's JSON, which was read as a manifest before.
    pub(super) fn of_manifest(json: &[u8]) -> Result<Self, BadSchema> {
        let keys: Keys = serde_json::from_slice(json).map_err(|error| BadSchema {
            key: "state_schemas".to_owned(),
            reason: format!("it must be an object with a schema for each job's name: {error}"),
        })?;
        Self::of_keys(keys)
    }

    /// The schemas of a package, as [`Schemas::to_json`] writes them; none where there is nothing.
    pub(super) fn of_package(json: &[u8]) -> Result<Self, BadSchema> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        // As an object first: a list would do for the fields as well.
        let keys = serde_json::from_slice::<Map<String, Value>>(json)
            .and_then(|keys| serde_json::from_value::<StrictKeys>(Value::Object(keys)))
            .map_err(|error| BadSchema {
                key: "config_schema, state_schemas".to_owned(),
                reason: format!("in the package there is no JSON object of these two: {error}"),
            })?;
        Self::of_keys(Keys { config_schema: keys.config_schema, state_schemas: keys.state_schemas })
    }

    /// All of them as one JSON object, for a package; nothing where there are none.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let keys = self.keys();
        if keys.is_empty() { Vec::new() } else { Value::Object(keys).to_string().into_bytes() }
    }

    /// The keys of a manifest that they are.
    pub(super) fn keys(&self) -> Map<String, Value> {
        let mut keys = Map::new();
        if let Some(schema) = &self.config {
            keys.insert("config_schema".to_owned(), schema.value.clone());
        }
        if !self.states.is_empty() {
            let states = self.states.iter().map(|(job, schema)| (job.clone(), schema.value.clone()));
            keys.insert("state_schemas".to_owned(), Value::Object(states.collect()));
        }
        keys
    }

    fn of_keys(keys: Keys) -> Result<Self, BadSchema> {
        let all = keys.config_schema.iter().chain(keys.state_schemas.values());
        let patterns: usize = all.map(schema_bounds::patterns).fold(0, usize::saturating_add);
        if patterns > MOST_PATTERNS {
            let reason = format!(
                "there are {patterns} patterns in all schemas together; there may be {MOST_PATTERNS}"
            );
            return Err(BadSchema { key: "config_schema, state_schemas".to_owned(), reason });
        }
        let schema = |key: String, value| Schema::new(value).map_err(|reason| BadSchema { key, reason });
        let config = keys.config_schema.map(|value| schema("config_schema".to_owned(), value)).transpose()?;
        let states = keys.state_schemas.into_iter().map(|(job, value)| {
            let checked = schema(format!("state_schemas.{job}"), value)?;
            Ok((job, checked))
        });
        Ok(Self { config, states: states.collect::<Result<_, _>>()? })
    }

    /// Refuses a schema for a job that the extension does not have, which would check nothing.
    pub(super) fn are_for<'a>(&self, jobs: impl Iterator<Item = &'a str> + Clone) -> Result<(), BadSchema> {
        let stray = self.states.keys().find(|name| !jobs.clone().any(|job| job == name.as_str()));
        stray.map_or(Ok(()), |name| {
            let have: Vec<&str> = jobs.collect();
            Err(BadSchema {
                key: format!("state_schemas.{name}"),
                reason: format!("the module has no such job; it has {}", have.join(", ")),
            })
        })
    }
}

impl Schema {
    pub(super) fn new(value: Value) -> Result<Self, String> {
        if !value.is_object() && !value.is_boolean() {
            return Err("a schema is an object, true or false".to_owned());
        }
        let schemas = schema_bounds::check(&value)?;
        // Nothing is fetched, and no pattern takes more than linear time.
        let options = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES));
        let validator = options.build(&value).map_err(|error| {
            shortened(&format!("{}: {error}", place(error.instance_path().as_str(), "its top")))
        })?;
        let has_patterns = schema_bounds::patterns(&value) > 0;
        Ok(Self { value, validator, has_patterns, schemas })
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// Bytes of a value's JSON that this checks, if it does not check any.
    pub(super) fn most_bytes(&self) -> Option<usize> {
        self.has_patterns.then_some(MATCHED_BYTES)
    }

    /// Refuses a value that it would take too long to check.
    pub(super) fn admit(&self, value: &Value) -> Result<(), String> {
        let values = schema_bounds::values(value);
        let looks = values.saturating_mul(self.schemas);
        if looks <= MOST_LOOKS {
            return Ok(());
        }
        Err(format!(
            "it has {values} values, and its schema {} schemas: to look at each with each would take {looks} looks, of the \
             {MOST_LOOKS} that it may take; make one of them smaller",
            self.schemas
        ))
    }

    /// Each place of a value that does not fit, and what was expected there. Without the values themselves if they may be
    /// nobody else's business.
    pub(super) fn problems(&self, value: &Value, secret: bool) -> Vec<String> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let mut errors = self.validator.iter_errors(value);
        let mut problems: Vec<String> = errors
            .by_ref()
            .take(MOST_PROBLEMS)
            .map(|error| {
                let at = place(error.instance_path().as_str(), "the top");
                let what = if secret { error.masked().to_string() } else { error.to_string() };
                shortened(&format!("at {at}: {what}"))
            })
            .collect();
        if errors.next().is_some() {
            problems.push("and more".to_owned());
        }
        problems
    }

    /// Puts the schema's defaults where a value has nothing. They are looked for in `properties`, in what `$ref` and
    /// `allOf` lead to, and in what is inside of these.
    pub(super) fn fill_defaults(&self, value: &mut Value) {
        fill(&self.value, &self.value, value);
    }
}

// A schema that was checked does not lead back to itself, so this ends.
fn fill(root: &Value, schema: &Value, value: &mut Value) {
    let Some(keywords) = schema.as_object() else { return };
    if let Some(target) = keywords.get("$ref").and_then(|target| schema_bounds::target(root, target)) {
        fill(root, target, value);
    }
    for part in keywords.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        fill(root, part, value);
    }
    let Some(fields) = value.as_object_mut() else { return };
    for (name, property) in keywords.get("properties").and_then(Value::as_object).into_iter().flatten() {
        match fields.get_mut(name) {
            Some(inner) => fill(root, property, inner),
            None => fill_absent(root, name, property, fields),
        }
    }
}

fn fill_absent(root: &Value, name: &str, property: &Value, fields: &mut Map<String, Value>) {
    let referred = property.get("$ref").and_then(|target| schema_bounds::target(root, target));
    let default = property.get("default").or_else(|| referred.and_then(|target| target.get("default")));
    if let Some(default) = default {
        let mut inner = default.clone();
        fill(root, property, &mut inner);
        fields.insert(name.to_owned(), inner);
    }
}

fn place<'a>(pointer: &'a str, top: &'a str) -> &'a str {
    if pointer.is_empty() { top } else { pointer }
}

fn shortened(text: &str) -> String {
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    let mut short: String = text.chars().take(PROBLEM_CHARS).map(printable).collect();
    if text.chars().nth(PROBLEM_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(value: Value) -> Schema {
        Schema::new(value).unwrap()
    }

    #[test]
    fn each_place_that_does_not_fit_is_named() {
        let schema = schema(json!({
            "type": "object",
            "required": ["host"],
            "properties": { "port": { "type": "integer", "maximum": 65_535 }, "tags": { "items": { "type": "string" } } },
        }));
        assert_eq!(schema.problems(&json!({ "host": "a", "port": 80 }), false), [""; 0]);
        let wrong = json!({ "port": 70_000, "tags": ["a", 1] });
        assert_eq!(
            schema.problems(&wrong, false),
            [
                "at the top: \"host\" is a required property",
                "at /port: 70000 is greater than the maximum of 65535",
                "at /tags/1: 1 is not of type \"string\"",
            ]
        );
        let secret = schema.problems(&json!({ "host": "a", "port": "hunter2" }), true);
        assert_eq!(secret, ["at /port: value is not of type \"integer\""]);
    }

    #[test]
    fn what_is_told_of_it_stays_short() {
        let schema = schema(json!({ "items": { "type": "integer" } }));
        let problems = schema.problems(&json!(vec!["x".repeat(10_000); 100]), false);
        assert_eq!(problems.len(), MOST_PROBLEMS + 1);
        assert!(problems.iter().all(|problem| problem.chars().count() <= PROBLEM_CHARS + 1));
        assert_eq!(problems.last().unwrap(), "and more");
    }

    #[test]
    fn defaults_fill_what_is_absent_and_nothing_else() {
        let schema = schema(json!({
            "$defs": { "retry": { "default": {}, "properties": { "times": { "default": 3 } } } },
            "properties": {
                "host": { "default": "localhost" },
                "retry": { "$ref": "#/$defs/retry" },
                "log": { "properties": { "level": { "default": "info" } } },
                "other": { "type": "string" },
            },
            "allOf": [{ "properties": { "port": { "default": 80 } } }],
        }));
        let filled = |mut value: Value| {
            schema.fill_defaults(&mut value);
            value
        };
        assert_eq!(filled(json!({})), json!({ "host": "localhost", "retry": { "times": 3 }, "port": 80 }));
        let given = json!({ "host": null, "retry": { "times": 0 }, "log": {}, "port": 1, "more": [] });
        let mut expected = given.clone();
        expected["log"] = json!({ "level": "info" });
        assert_eq!(filled(given), expected);
        assert_eq!(filled(json!([1])), json!([1]), "what is no object stays as it is");
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for (bad, expected) in [
            (json!(7), "a schema is an object, true or false"),
            (json!({ "type": "whole" }), "/type: \"whole\""),
            (json!({ "properties": [] }), "/properties: "),
            (json!({ "pattern": "(" }), "pattern"),
            // No pattern that can take for ever, and none that takes too much memory.
            (json!({ "pattern": "(?=a)b" }), "pattern"),
            (json!({ "pattern": "((a{100}){100}){100}" }), "pattern"),
            (json!({ "$schema": "https://example.com/meta" }), "example.com"),
            (json!({ "$ref": "#/$defs/none" }), "none"),
        ] {
            let error = Schema::new(bad.clone()).unwrap_err();
            assert!(error.contains(expected), "{bad}: {error}");
        }
        assert!(Schema::new(json!(true)).is_ok());
        assert_eq!(schema(json!(false)).problems(&json!(1), false).len(), 1);
    }

    #[test]
    fn the_schemas_of_a_manifest_are_found_and_named() {
        let schemas = |json: Value| Schemas::of_manifest(json.to_string().as_bytes());
        let none = schemas(json!({ "id": "a", "config_schema": null })).unwrap();
        assert!(none.config.is_none() && none.states.is_empty());
        let bad = schemas(json!({ "config_schema": { "type": 1 } })).unwrap_err();
        assert_eq!(bad.key, "config_schema");
        let bad = schemas(json!({ "state_schemas": { "go": { "type": 1 } } })).unwrap_err();
        assert_eq!(bad.key, "state_schemas.go");
        assert!(schemas(json!({ "state_schemas": [] })).is_err());
        let stray = schemas(json!({ "state_schemas": { "gone": true } })).unwrap();
        let error = stray.are_for(["go", "stop"].into_iter()).unwrap_err();
        assert_eq!(error.reason, "the module has no such job; it has go, stop");
        assert!(stray.are_for(["gone"].into_iter()).is_ok());
    }

    #[test]
    fn what_would_take_too_long_to_check_is_refused() {
        let many = schema(json!({ "allOf": vec![json!({ "items": { "type": "integer" } }); 2_000] }));
        assert_eq!(many.schemas, 4_001);
        let numbers = |count: usize| json!(vec![1; count]);
        assert_eq!(many.admit(&numbers(10_000)), Ok(()));
        let error = many.admit(&numbers(20_000)).unwrap_err();
        assert!(error.starts_with("it has 20001 values, and its schema 4001 schemas"), "{error}");
        assert_eq!(schema_bounds::values(&json!({ "a": [1, { "b": null }] })), 1 + 1 + 1 + 1 + 1 + 2);
    }

    #[test]
    fn patterns_are_bounded_in_number_and_size_and_in_what_they_look_at() {
        let properties = |count: usize| -> Value {
            (0..count).map(|n| (format!("p{n}"), json!({ "pattern": "^a+$" }))).collect::<Map<_, _>>().into()
        };
        let schemas = |count| {
            let manifest = json!({
                "config_schema": { "patternProperties": { "^x": true } },
                "state_schemas": { "go": { "properties": properties(count) } },
            });
            Schemas::of_manifest(manifest.to_string().as_bytes())
        };
        let most = schemas(MOST_PATTERNS - 1).unwrap();
        assert_eq!(most.states["go"].most_bytes(), Some(MATCHED_BYTES));
        let error = schemas(MOST_PATTERNS).unwrap_err();
        assert!(error.reason.contains("there are 101 patterns in all schemas together"), "{}", error.reason);
        assert_eq!(schema(json!({ "type": "string" })).most_bytes(), None);
        // A name like any other is no pattern.
        assert_eq!(schema(json!({ "properties": { "pattern": { "type": "string" } } })).most_bytes(), None);
        for pattern in ["(a{1000}){1000}", "(?=a)b", "(a)\\1"] {
            assert!(Schema::new(json!({ "pattern": pattern })).is_err(), "{pattern}");
        }
        // What takes a backtracking matcher for ever takes this one as long as the text is.
        let slow = schema(json!({ "pattern": "^(a+)+$" }));
        assert_eq!(slow.problems(&json!(format!("{}b", "a".repeat(50_000))), true).len(), 1);
    }

    #[test]
    fn schemas_go_into_a_package_and_come_out_the_same() {
        let manifest = json!({
            "id": "a", "config_schema": { "type": "object" }, "state_schemas": { "go": true, "a": { "type": "null" } },
        });
        let schemas = Schemas::of_manifest(manifest.to_string().as_bytes()).unwrap();
        let packed = schemas.to_json();
        assert_eq!(
            String::from_utf8_lossy(&packed),
            r#"{"config_schema":{"type":"object"},"state_schemas":{"a":{"type":"null"},"go":true}}"#
        );
        assert_eq!(Schemas::of_package(&packed).unwrap().keys(), schemas.keys());
        assert_eq!(Schemas::of_package(b"").unwrap().to_json(), b"");
        for bad in [&b"{"[..], b"[]", b"\xff", br#"{"id": "a"}"#, br#"{"config_schema": {"type": 1}}"#] {
            assert!(Schemas::of_package(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
