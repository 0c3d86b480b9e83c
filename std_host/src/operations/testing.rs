//! What the tests of the operations share.

use serde_json::Value;
use toehold::{Call, CallKey, Uuid};

use super::{CallContext, Grants, Operations};

/// Calls an operation that is built in.
pub(super) fn call(grants: &Grants, method: &str, input: Value) -> Result<Value, String> {
    let call = Call {
        key: CallKey { job: Uuid::from_u128(1), number: 1 },
        extension: "example".to_owned(),
        method: method.to_owned(),
        library: None,
        payload: serde_json::to_vec(&input).map_err(|error| error.to_string())?,
    };
    let reply = Operations::built_in().carry_out(&CallContext::new(&call, grants))?;
    serde_json::from_slice(&reply).map_err(|error| error.to_string())
}
