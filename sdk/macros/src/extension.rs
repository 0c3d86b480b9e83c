use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, Fields, ItemStruct, Path, Result};

use crate::args::Args;
use crate::job::info_ident;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let known = ["id", "name", "version", "jobs", "init"];
    let args = Args::parse("#[extension]", &known, args, &item)?;
    let id = args.identifier("id", "my-extension")?;
    let (name, _) = args.text("name", "My Extension")?;
    let version = args.version("version", "0.1.0")?;
    let jobs = args.paths("jobs", "[my_job]")?.into_iter().map(|(conditions, job)| {
        let info = info_path(job);
        quote!(#(#conditions)* #info)
    });
    let init = args.path("init", "my_init")?;

    const SHAPE: &str = "#[extension] goes on a struct without fields: `struct MyExtension;`";
    let span = item.span();
    let target: ItemStruct = syn::parse2(item).map_err(|_| Error::new(span, SHAPE))?;
    if !matches!(target.fields, Fields::Unit) || !target.generics.params.is_empty() {
        return Err(Error::new(target.ident.span(), SHAPE));
    }
    let ident = &target.ident;
    let init = init.map(|path| {
        quote! {
            fn init() -> ::toehold_sdk::Result<()> {
                #path()
            }
        }
    });

    Ok(quote! {
        impl ::toehold_sdk::Extension for #ident {
            const ID: &'static str = #id;
            const NAME: &'static str = #name;
            const VERSION: &'static str = #version;
            const JOBS: &'static [::toehold_sdk::JobInfo] = &[#(#jobs),*];
            #init
        }

        const _: () = ::toehold_sdk::__private::assert_distinct(
            <#ident as ::toehold_sdk::Extension>::JOBS,
        );
        const _: () = ::toehold_sdk::__private::assert_one_state_version(
            <#ident as ::toehold_sdk::Extension>::JOBS,
        );

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(export_name = "plugin_init")]
            extern "C" fn __toehold_init() -> i32 {
                ::toehold_sdk::__private::init(
                    <#ident as ::toehold_sdk::Extension>::JOBS,
                    <#ident as ::toehold_sdk::Extension>::init,
                )
            }

            #[unsafe(export_name = "plugin_cleanup")]
            extern "C" fn __toehold_cleanup() -> i32 {
                ::toehold_sdk::__private::cleanup()
            }
        };
    })
}

/// From the path of a job's function to that of what `#[job]` wrote beside it.
fn info_path(mut job: Path) -> Path {
    if let Some(last) = job.segments.last_mut() {
        last.ident = info_ident(&last.ident);
    }
    job
}
