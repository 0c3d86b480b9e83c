//! The macros of `toehold-sdk`, which exports them and explains how they work together.
//!
//! They make exports for WebAssembly and leave the items that they stand on as they are. A mistake in their arguments
//! is a compile error at the place of the mistake.

mod args;
mod extension;
mod job;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;

/// Makes a unit struct an extension: exports `plugin_init`, which registers the jobs, and `plugin_cleanup`.
///
/// | key | |
/// | --- | --- |
/// | `id` | required, as in the manifest: `a-z`, `0-9`, `_` and `-` |
/// | `name` | required, as in the manifest, for people |
/// | `version` | required, as in the manifest |
/// | `jobs` | required: the functions with `#[job]`, by the path where they are defined (`[scan::scan, clean]`). A `#[cfg(…)]` before one is its own |
/// | `init` | optional: a `fn() -> Result<()>` that runs once the jobs are registered |
///
/// Without `init` the extension logs that it is initialized. With it, what is logged is up to the function; where it
/// fails, its error is logged and the host refuses the extension.
///
/// The struct becomes a `toehold_sdk::Extension`, so that tests can load it.
#[proc_macro_attribute]
pub fn extension(args: TokenStream, item: TokenStream) -> TokenStream {
    let item = Tokens::from(item);
    expanded(&item, extension::expand(args.into(), item.clone()))
}

/// Makes a function `fn f(ctx: &JobContext, state: &mut S) -> Result<()>` a job: exports `execute_f`, which runs it.
///
/// | key | |
/// | --- | --- |
/// | `name` | required: the job is called `EXTENSION_ID:NAME`; `a-z`, `0-9`, `_` and `-` |
/// | `resumable` | optional, `true` by default: whether it can go on from a checkpoint |
/// | `version` | optional: the version of the state that it writes, from 1 up; `state_version` in the manifest must be the same |
/// | `migrate` | optional, needs `version`: a `fn(from: u32, old: &[u8]) -> Result<S>` for states of older versions |
///
/// `S` is anything that implements `Default`, `Serialize` and `Deserialize`. The job is entered with the state of its
/// last checkpoint, or with that of its dispatch, or with `S::default()`.
///
/// With `migrate` the export `migrate_f` is made too. The function gets the bytes that the older version wrote.
#[proc_macro_attribute]
pub fn job(args: TokenStream, item: TokenStream) -> TokenStream {
    let item = Tokens::from(item);
    expanded(&item, job::expand(args.into(), item.clone()))
}

/// A mistake leaves the item in place, or else each use of it would be an error too.
fn expanded(item: &Tokens, result: syn::Result<Tokens>) -> TokenStream {
    match result {
        Ok(made) => quote::quote!(#item #made).into(),
        Err(error) => {
            let errors = error.into_compile_error();
            quote::quote!(#item #errors).into()
        }
    }
}
