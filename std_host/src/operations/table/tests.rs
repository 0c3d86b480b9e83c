use serde_json::{Value, json};
use toehold::{CallKey, Uuid};

use super::{super::Grants, *};

fn reply(operations: &Operations, method: &str, payload: &str) -> Reply {
    let call = Call {
        key: CallKey { job: Uuid::from_u128(7), number: 9 },
        extension: "example".to_owned(),
        method: method.to_owned(),
        library: None,
        payload: payload.as_bytes().to_vec(),
    };
    operations.carry_out(&CallContext::new(&call, &Grants::default()))
}

fn with(
    operation: impl Fn(&CallContext<'_>, i64) -> Result<Value, String> + Send + Sync + 'static,
) -> Operations {
    let mut operations = Operations::empty();
    operations.register("app:do", operation).unwrap();
    operations
}

#[test]
fn an_operation_gets_its_input_and_context() {
    let operations = with(|context, n| {
        Ok(json!({ "twice": 2 * n, "key": context.key().number, "of": context.extension() }))
    });
    let value: Value = serde_json::from_slice(&reply(&operations, "app:do", "21").unwrap()).unwrap();
    assert_eq!(value, json!({ "twice": 42, "key": 9, "of": "example" }));
}

#[test]
fn an_operation_that_fails_says_what_it_says() {
    let operations = with(|_, n| Err(format!("{n} is too many")));
    assert_eq!(reply(&operations, "app:do", "3"), Err("3 is too many".to_owned()));
}

#[test]
fn an_operation_that_panics_fails_and_can_be_called_again() {
    let operations = with(|_, n| if n == 0 { panic!("secret") } else { Ok(json!(n)) });
    let failed = Err("app:do: the operation failed inside the host".to_owned());
    assert_eq!(reply(&operations, "app:do", "0"), failed);
    assert_eq!(reply(&operations, "app:do", "1"), Ok(b"1".to_vec()));
}

#[test]
fn a_future_gets_its_input_and_context_and_may_fail_or_panic() {
    let mut operations = Operations::empty();
    operations
        .register_async("app:later", |context: AsyncContext, n: i64| async move {
            tokio::task::yield_now().await;
            match n {
                0 => panic!("secret"),
                1 => Err(format!("{n} is too few")),
                n => {
                    Ok(json!({ "n": n, "key": context.get().key().number, "of": context.get().extension() }))
                }
            }
        })
        .unwrap();
    assert_eq!(operations.way("app:later"), Way::Async);
    let value: Value = serde_json::from_slice(&reply(&operations, "app:later", "2").unwrap()).unwrap();
    assert_eq!(value, json!({ "n": 2, "key": 9, "of": "example" }));
    assert_eq!(reply(&operations, "app:later", "1"), Err("1 is too few".to_owned()));
    let failed = Err("app:later: the operation failed inside the host".to_owned());
    assert_eq!(reply(&operations, "app:later", "0"), failed);
    let error = reply(&operations, "app:later", "{}").unwrap_err();
    assert!(error.starts_with("app:later: the input does not fit"), "{error}");
    let refused = operations.register_async("app:later", |_, ()| async { Ok::<_, String>(()) }).err();
    assert_eq!(refused, Some(RegisterError::Duplicate("app:later".to_owned())));

    // A future that panics before it is one.
    let panics = |_: AsyncContext, (): ()| -> std::future::Ready<Result<(), String>> { panic!("secret") };
    operations.register_async("app:panics", panics).unwrap();
    assert!(reply(&operations, "app:panics", "").unwrap_err().contains("failed inside the host"));

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let refused = runtime.block_on(async { reply(&operations, "app:later", "2") });
    assert_eq!(refused, Err("app:later: is a future, and can't be waited for here".to_owned()));
}

#[test]
fn an_output_that_is_no_json_is_an_error() {
    let mut operations = Operations::empty();
    let keys_are_no_text = |_: &CallContext<'_>, ()| Ok::<_, String>(BTreeMap::from([((1, 2), 3)]));
    operations.register("app:map", keys_are_no_text).unwrap();
    let error = reply(&operations, "app:map", "").unwrap_err();
    assert!(error.starts_with("app:map: the output can't be written as JSON"), "{error}");
}

#[test]
fn an_unknown_method_is_named_with_its_nearest_match() {
    let unknown = |method: &str| reply(&Operations::built_in(), method, "").unwrap_err();
    assert_eq!(
        unknown("query:fs_list"),
        "query:fs_list: this host has no such operation; did you mean query:fs.list?"
    );
    assert_eq!(unknown("action:delete"), "action:delete: this host has no such operation");
    assert_eq!(
        unknown("action:kv.put"),
        "action:kv.put: only jobs of `toehold serve` have this operation, since it outlives them; `toehold job dispatch` \
         dispatches one"
    );
    assert!(unknown(&"x".repeat(100_000)).len() < 200);
    assert!(reply(&Operations::empty(), "query:ping", "").is_err());
}

#[test]
fn a_method_is_registered_once_and_is_a_name() {
    let mut operations = Operations::default();
    let nothing = |_: &CallContext<'_>, ()| Ok::<_, String>(());
    assert_eq!(
        operations.register("query:ping", nothing).err(),
        Some(RegisterError::Duplicate("query:ping".to_owned()))
    );
    for method in ["", "a b", "a\n", "\0"] {
        let refused = operations.register(method, nothing).err();
        assert_eq!(refused, Some(RegisterError::Method(method.to_owned())));
    }
    let shared = operations.clone();
    operations.register("app:a", nothing).unwrap().register("app:b", nothing).unwrap();
    assert_eq!(operations.methods().count(), 11);
    assert_eq!(shared.methods().count(), 9, "a clone does not change");
}
