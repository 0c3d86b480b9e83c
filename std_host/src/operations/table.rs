use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    future::Future,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use futures_util::{FutureExt, future::BoxFuture};
use serde::{Serialize, de::DeserializeOwned};
use toehold::{Call, Reply};

use super::{
    AsyncContext, CallContext, config, fs_list, fs_read, fs_write, http, payload, ping, random, time,
};

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

/// How an operation is carried out.
#[derive(Clone)]
enum Operation {
    /// It never waits for anything, so that it needs no thread of its own.
    Instant(Arc<dyn Fn(&CallContext<'_>) -> Reply + Send + Sync>),
    /// It holds a thread for as long as it takes.
    Blocking(Arc<dyn Fn(&CallContext<'_>) -> Reply + Send + Sync>),
    /// It is a future, which holds none while it waits.
    Async(Arc<dyn Fn(AsyncContext) -> BoxFuture<'static, Reply> + Send + Sync>),
}

/// How an operation has to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By [`Operations::carry_out`], at once and on any thread. One that is not there says so at once.
    Instant,
    /// By [`Operations::carry_out`], on a thread that may wait.
    Blocking,
    /// By [`Operations::carry_out_async`].
    Async,
}

/// The operations that only the job manager has, which carries them out itself.
const OF_THE_MANAGER: [&str; 9] = [
    "action:kv.put",
    "action:kv.delete",
    "action:kv.get",
    "query:kv.get",
    "action:kv.list",
    "query:kv.list",
    "action:sleep",
    "action:jobs.dispatch",
    "query:job.attempt",
];

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
        operations.insert("query:ping", Operation::Instant, ping::ping);
        operations.insert("query:time.now", Operation::Instant, time::now);
        operations.insert("query:random.bytes", Operation::Instant, random::bytes);
        operations.insert("query:config.get", Operation::Instant, config::get);
        operations.insert("query:fs.list", Operation::Blocking, fs_list::list);
        operations.insert("query:fs.read", Operation::Blocking, fs_read::read);
        operations.insert("action:fs.write", Operation::Blocking, fs_write::write);
        operations.insert_async("query:http.fetch", http::query);
        operations.insert_async("action:http.fetch", http::action);
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
        self.check(method)?;
        self.insert(method, Operation::Blocking, operation);
        Ok(self)
    }

    /// Adds an operation that is a future, for what waits long or in great numbers: it holds no thread meanwhile. Input,
    /// output and errors are those of [`Operations::register`].
    ///
    /// The future runs on a tokio runtime of the host, with time and network, where it must not block: for that there is
    /// [`Operations::register`], or tokio's `spawn_blocking`. It is dropped where it stands when the host closes, and when
    /// the job is cancelled, which so need not wait for it; the guest then hears that its call was cut off. A job that is
    /// paused waits, unless the operation looks at [`CallContext::interrupt`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use std_host::operations::{AsyncContext, Operations};
    /// #[derive(serde::Deserialize)]
    /// struct Order {
    ///     item: String,
    /// }
    ///
    /// let mut operations = Operations::built_in();
    /// operations.register_async("action:order", |context: AsyncContext, order: Order| async move {
    ///     // A shop that has seen the key before does not take the order a second time.
    ///     let key = context.get().key().to_string();
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    ///     if order.item.is_empty() { Err("an order needs an item") } else { Ok(format!("{}: {key}", order.item)) }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A method that is no name, or that is taken.
    pub fn register_async<In, Out, E, F>(
        &mut self,
        method: &str,
        operation: impl Fn(AsyncContext, In) -> F + Send + Sync + 'static,
    ) -> Result<&mut Self, RegisterError>
    where
        In: DeserializeOwned,
        Out: Serialize,
        E: fmt::Display,
        F: Future<Output = Result<Out, E>> + Send + 'static,
    {
        self.check(method)?;
        self.insert_async(method, operation);
        Ok(self)
    }

    fn check(&self, method: &str) -> Result<(), RegisterError> {
        if method.is_empty() || method.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(RegisterError::Method(method.to_owned()));
        }
        if self.0.contains_key(method) {
            return Err(RegisterError::Duplicate(method.to_owned()));
        }
        Ok(())
    }

    /// How a call of this method has to be carried out.
    pub(crate) fn way(&self, method: &str) -> Way {
        match self.0.get(method) {
            None | Some(Operation::Instant(_)) => Way::Instant,
            Some(Operation::Blocking(_)) => Way::Blocking,
            Some(Operation::Async(_)) => Way::Async,
        }
    }

    /// The methods that can be called, sorted.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Carries out a call, on the calling thread and for as long as the operation takes. A future runs on a runtime of its
    /// own here, and hears of no interrupt; where a runtime runs already, it is refused.
    ///
    /// An operation that panics becomes an error that names the method, as long as the program is built to unwind. What
    /// it said goes to the panic hook and the log, not to the guest.
    pub fn carry_out(&self, context: &CallContext<'_>) -> Reply {
        let call = context.call();
        match self.0.get(&call.method) {
            None => Err(self.unknown(&call.method)),
            // Unwind safe: of what the closure touches, only the operation's own state outlives a panic, and that it is
            // fit to be shared between threads is what `Sync` says. A lock in it is poisoned, as anywhere.
            Some(Operation::Instant(operation) | Operation::Blocking(operation)) => {
                panic::catch_unwind(AssertUnwindSafe(|| operation(context)))
                    .unwrap_or_else(|panic| Err(panicked(call, &*panic)))
            }
            Some(Operation::Async(_)) => {
                if tokio::runtime::Handle::try_current().is_ok() {
                    return Err(format!("{}: is a future, and can't be waited for here", call.method));
                }
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|error| format!("{}: no runtime: {error}", call.method))?;
                runtime.block_on(self.carry_out_async(context.to_async()))
            }
        }
    }

    /// Carries out a call of an operation that is a future; of any other on the thread that polls this, which it holds.
    pub(crate) fn carry_out_async(&self, context: AsyncContext) -> BoxFuture<'static, Reply> {
        let operation = match self.0.get(&context.call.method) {
            Some(Operation::Async(operation)) => operation.clone(),
            _ => {
                let operations = self.clone();
                return async move { operations.carry_out(&context.get()) }.boxed();
            }
        };
        async move {
            let call = context.call.clone();
            // Unwind safe as in `carry_out`: the future is dropped.
            let reply = AssertUnwindSafe(async move { operation(context).await }).catch_unwind().await;
            reply.unwrap_or_else(|panic| Err(panicked(&call, &*panic)))
        }
        .boxed()
    }

    fn insert<In, Out, E>(
        &mut self,
        method: &str,
        way: impl FnOnce(Arc<dyn Fn(&CallContext<'_>) -> Reply + Send + Sync>) -> Operation,
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
        Arc::make_mut(&mut self.0).insert(method.to_owned(), way(Arc::new(carry_out)));
    }

    fn insert_async<In, Out, E, F>(
        &mut self,
        method: &str,
        operation: impl Fn(AsyncContext, In) -> F + Send + Sync + 'static,
    ) where
        In: DeserializeOwned,
        Out: Serialize,
        E: fmt::Display,
        F: Future<Output = Result<Out, E>> + Send + 'static,
    {
        let carry_out = move |context: AsyncContext| {
            let call = context.call.clone();
            let future = payload::decode(&call).map(|input| operation(context, input));
            async move {
                let output = future?.await.map_err(|error| error.to_string())?;
                payload::encode(&call, &output)
            }
            .boxed()
        };
        Arc::make_mut(&mut self.0).insert(method.to_owned(), Operation::Async(Arc::new(carry_out)));
    }

    fn unknown(&self, method: &str) -> String {
        let shown = payload::shortened(method.as_bytes());
        let distance = |known: &&str| strsim::levenshtein(known, method);
        // The core refuses names of more than 256 bytes, but a call may come from elsewhere, and distance is quadratic.
        let nearest = if method.len() <= 256 { self.methods().min_by_key(distance) } else { None };
        if OF_THE_MANAGER.contains(&method) {
            return format!(
                "{shown}: only jobs of `toehold serve` have this operation, since it outlives them; `toehold job dispatch` \
                 dispatches one"
            );
        }
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
mod tests;
