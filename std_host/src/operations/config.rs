use std::convert::Infallible;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::CallContext;

#[derive(Deserialize)]
pub(super) struct Input {
    /// Names of keys, or indices of arrays, from the outside in and separated by dots.
    #[serde(default)]
    key: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Output {
    value: Value,
}

/// `query:config.get`: what the operator configured for this extension. A key that itself has a dot is only reached
/// through the object that it stands in.
pub(super) fn get(context: &CallContext<'_>, Input { key }: Input) -> Result<Output, Infallible> {
    let config = context.config();
    let value = key.map_or(Some(config), |key| key.split('.').try_fold(config, inner));
    Ok(Output { value: value.cloned().unwrap_or_default() })
}

fn inner<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Array(elements) => elements.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Grants, testing::call};

    #[test]
    fn a_dotted_key_leads_into_the_configuration() {
        let config = json!({ "a": { "b": 7, "list": [{ "c": "x" }] }, "off": false });
        let grants = Grants { config: config.clone(), ..Grants::default() };
        let get =
            |key: &str| call(&grants, "query:config.get", json!({ "key": key })).unwrap()["value"].clone();
        assert_eq!(get("a.b"), json!(7));
        assert_eq!(get("a.list.0.c"), json!("x"));
        assert_eq!(get("off"), json!(false));
        for unset in ["", ".", "a.", "a.c", "a.b.c", "a.list.1", "a.list.-1", "A"] {
            assert_eq!(get(unset), json!(null), "{unset:?}");
        }
        for all in [json!(null), json!({}), json!({ "key": null })] {
            assert_eq!(call(&grants, "query:config.get", all), Ok(json!({ "value": config })));
        }
    }

    #[test]
    fn without_configuration_all_is_unset() {
        let reply = call(&Grants::default(), "query:config.get", json!({ "key": "a" }));
        assert_eq!(reply, Ok(json!({ "value": null })));
    }
}
