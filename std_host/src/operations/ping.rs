use std::convert::Infallible;

use serde::Serialize;
use serde_json::Value;

use super::CallContext;

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Output {
    pong: bool,
    #[serde(skip_serializing_if = "Value::is_null")]
    echo: Value,
}

/// `query:ping`: shows that calls arrive, and what arrives.
pub(super) fn ping(_: &CallContext<'_>, input: Value) -> Result<Output, Infallible> {
    Ok(Output { pong: true, echo: input })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Grants, testing::call};

    #[test]
    fn a_ping_comes_back_with_what_it_brought() {
        let grants = Grants::default();
        assert_eq!(call(&grants, "query:ping", json!(null)), Ok(json!({ "pong": true })));
        let brought = json!({ "n": [1, "two"] });
        assert_eq!(
            call(&grants, "query:ping", brought.clone()),
            Ok(json!({ "pong": true, "echo": brought }))
        );
    }
}
