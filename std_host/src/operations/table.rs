use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};
use toehold::{Call, Reply};

use super::{CallContext, config, fs_list, fs_read, payload, ping, random, time};

/// How many edits from a known method a mistyped one may be to be asked about.
const NEAR_EDITS: usize = 3;

/// What a host application lets guests call, by method. A clone is cheap: it shares the operations.
///
/// ```
/// # use std_host::operations::{CallContext, Operations};
/// #[derive(serde::Deserialize)]
/// struct Sum {
///     terms: Vec<i64>,
/// }
///
/// let mut operations = Operations::built_in();
/// operations.register("query:sum", |_: &CallContext<'_>, input: Sum| {
///     input.terms.iter().try_fold(0_i64, |sum, term| sum.checked_add(*term)).ok_or("the sum is too large")
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Operations(Arc<BTreeMap<String, Operation>>);

#[derive(Clone)]
struct Operation {
    carry_out: Arc<dyn Fn(&CallContext<'_>) -> Reply + Send + Sync>,
    /// It never waits for anything, so that it needs no thread of its own.
    instant: bool,
}

/// Why an operation was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The method is empty, or contains white space or control characters.
    #[error(
        "the method {0:?} is not a name: it must not be empty, nor contain white space or control characters"
    )]
    Method(String),
    /// There is an operation of this method already.
    #[error("{0}: there is such an operation already")]
    Duplicate(String),
}

impl Operations {
    /// No operation at all.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// The operations that every std host has; the [module](super) describes each.
    #[must_use]
    pub fn built_in() -> Self {
        let mut operations = Self::empty();
        operations.insert("query:ping", true, ping::ping);
        operations.insert("query:time.now", true, time::now);
        operations.insert("query:random.bytes", true, random::bytes);
        operations.insert("query:config.get", true, config::get);
        operations.insert("query:fs.list", false, fs_list::list);
        operations.insert("query:fs.read", false, fs_read::read);
        operations
    }

    /// Adds an operation. The payload's JSON is decoded into `In`, `Out` is encoded as JSON, and the text of `E` is
    /// what the guest gets as `{"error": …}`.
    ///
    /// No payload, `null` and `{}` are the same to an `In` that takes any of them. The name matters: a method that
    /// starts with `query:` promises to change nothing outside the job, so after a crash it is simply called again.
    ///
    /// # Errors
    /// A method that is no name, or that is taken.
    pub fn register<In, Out, E>(
        &mut self,
        method: &str,
        operation: impl Fn(&CallContext<'_>, In) -> Result<Out, E> + Send + Sync + 'static,
    ) -> Result<&mut Self, RegisterError>
    where
        In: DeserializeOwned,
        Out: Serialize,
        E: fmt::Display,
    {
        if method.is_empty() || method.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(RegisterError::Method(method.to_owned()));
        }
        if self.0.contains_key(method) {
            return Err(RegisterError::Duplicate(method.to_owned()));
        }
        self.insert(method, false, operation);
        Ok(self)
    }

    /// Whether an operation never waits for anything, so that it needs no thread of its own. One that is not there says
    /// so at once.
    pub(crate) fn is_instant(&self, method: &str) -> bool {
        self.0.get(method).is_none_or(|operation| operation.instant)
    }

    /// The methods that can be called, sorted.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Carries out a call, on the calling thread and for as long as the operation takes.
    ///
    /// An operation that panics becomes an error that names the method, as long as the program is built to unwind. What
    /// it said goes to the panic hook and the log, not to the guest.
    pub fn carry_out(&self, context: &CallContext<'_>) -> Reply {
        let call = context.call();
        let Some(operation) = self.0.get(&call.method) else { return Err(self.unknown(&call.method)) };
        // Unwind safe: of what the closure touches, only the operation's own state outlives a panic, and that it is
        // fit to be shared between threads is what `Sync` says. A lock in it is poisoned, as anywhere.
        panic::catch_unwind(AssertUnwindSafe(|| (operation.carry_out)(context)))
            .unwrap_or_else(|panic| Err(panicked(call, &*panic)))
    }

    fn insert<In, Out, E>(
        &mut self,
        method: &str,
        instant: bool,
        operation: impl Fn(&CallContext<'_>, In) -> Result<Out, E> + Send + Sync + 'static,
    ) where
        In: DeserializeOwned,
        Out: Serialize,
        E: fmt::Display,
    {
        let carry_out = move |context: &CallContext<'_>| {
            let input = payload::decode(context.call())?;
            let output = operation(context, input).map_err(|error| error.to_string())?;
            payload::encode(context.call(), &output)
        };
        Arc::make_mut(&mut self.0)
            .insert(method.to_owned(), Operation { carry_out: Arc::new(carry_out), instant });
    }

    fn unknown(&self, method: &str) -> String {
        let shown = payload::shortened(method.as_bytes());
        let distance = |known: &&str| strsim::levenshtein(known, method);
        // The core refuses names of more than 256 bytes, but a call may come from elsewhere, and distance is quadratic.
        let nearest = if method.len() <= 256 { self.methods().min_by_key(distance) } else { None };
        match nearest.filter(|known| distance(known) <= NEAR_EDITS) {
            Some(known) => format!("{shown}: this host has no such operation; did you mean {known}?"),
            None => format!("{shown}: this host has no such operation"),
        }
    }
}

impl Default for Operations {
    fn default() -> Self {
        Self::built_in()
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.methods()).finish()
    }
}

fn panicked(call: &Call, panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied();
    let message =
        message.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    log::error!("{} (call {} of {}) panicked: {message}", call.method, call.key, call.extension);
    format!("{}: the operation failed inside the host", call.method)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(operations.methods().count(), 8);
        assert_eq!(shared.methods().count(), 6, "a clone does not change");
    }
}
