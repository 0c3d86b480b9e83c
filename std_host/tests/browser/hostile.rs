//! Whatever jobs and extensions say of themselves is text.

use serde_json::json;

use crate::{
    browser::browse,
    place::{ID, ID_BYTES, Place},
};

/// It would say so, if any of it ran.
const HTML: &str = "<img src=x onerror='window.harmed=1'><script>window.harmed=1</script><b>bold</b>";

/// A job that says nothing but HTML: in its log, its warning, its progress, its checkpoint and its last words.
fn module() -> String {
    let bytes = HTML.len();
    let state = json!({ HTML: HTML }).to_string();
    let (data, size) = (state.replace('\\', "\\5c").replace('"', "\\22"), state.len());
    format!(
        r#"(module
            (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
            (import "spacedrive" "job_report_progress" (func $progress (param i32 f32 i32 i32)))
            (import "spacedrive" "job_add_warning" (func $warn (param i32 i32 i32)))
            (import "spacedrive" "job_checkpoint" (func $checkpoint (param i32 i32 i32) (result i32)))
            (import "spacedrive" "register_job" (func $register (param i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "{HTML}")
            (data (i32.const 1024) "{data}")
            (data (i32.const 2048) "go")
            (data (i32.const 2056) "execute_go")
            (data (i32.const 3000) "{ID_BYTES}")
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
            (func (export "plugin_init") (result i32)
                (call $register (i32.const 2048) (i32.const 2) (i32.const 2056) (i32.const 10) (i32.const 1)))
            (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
                (call $log (i32.const 3) (i32.const 0) (i32.const {bytes}))
                (call $log (i32.const 1) (i32.const 0) (i32.const {bytes}))
                (call $progress (i32.const 3000) (f32.const 0.5) (i32.const 0) (i32.const {bytes}))
                (call $warn (i32.const 3000) (i32.const 0) (i32.const {bytes}))
                (drop (call $checkpoint (i32.const 3000) (i32.const 1024) (i32.const {size})))
                (i32.const 2)))"#
    )
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn html_of_a_job_and_of_an_extension_shows_as_text_and_nothing_of_it_runs() {
    let place = Place::empty();
    let manifest = json!({
        "id": "hostile", "name": HTML, "version": HTML, "description": HTML, "author": HTML, "homepage": "javascript:window.harmed=1",
        "wasm_file": "module.wasm",
        "permissions": { "methods": [HTML], "network_access": [HTML], "file_access": [HTML], "max_memory_mb": 1 },
    });
    let folder = place.extension(&manifest, &module());
    place.ok(&["extension", "add", &folder.display().to_string()]);
    let server = place.serve_with(&["--attempts", "1"]);
    place.dispatch_known("hostile:go", &json!({ HTML: HTML }));
    browse(async |page| {
        let shows = format!("document.body.innerText.split({HTML:?}).length - 1");
        // Where it is, and how often it is to be read there at least.
        for (hash, times) in [
            (format!("#/jobs/{ID}"), 8),
            ("#/jobs".to_owned(), 1),
            ("#/extensions".to_owned(), 4),
            ("#/extensions/hostile".to_owned(), 5),
            ("#/dispatch?job=hostile:go".to_owned(), 1),
        ] {
            page.open(&format!("{}{hash}", server.url)).await;
            page.until(&format!("{shows} >= {times}")).await;
            assert_eq!(
                page.js("document.querySelectorAll('main img, main script, main b').length").await,
                0,
                "{hash}"
            );
            assert_eq!(page.js("document.querySelectorAll('a[href^=javascript]').length").await, 0, "{hash}");
            assert_eq!(page.js("window.harmed ?? null").await, serde_json::Value::Null, "{hash}");
        }
        page.open(&format!("{}#/jobs/{ID}", server.url)).await;
        for place in
            [".log-text", ".warnings li", ".progress-words", ".json-key", ".json-value", ".event-more"]
        {
            page.until(&format!("document.querySelector({place:?})?.textContent.includes({HTML:?})")).await;
        }
        // What is only looked at is no other.
        page.open(&format!("{}#/extensions", server.url)).await;
        page.give_files("input[type=file]", &[folder.join("manifest.json"), folder.join("module.wasm")])
            .await;
        page.until_text("Nothing: it is what is installed.").await;
        assert_eq!(page.js("document.querySelectorAll('main img, main script, main b').length").await, 0);
        assert_eq!(page.js("window.harmed ?? null").await, serde_json::Value::Null);
        assert_eq!(page.complaints().await, [""; 0]);
    })
    .await;
}

/// The lock behind the page's own care: were there a way in, the browser would still refuse.
#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn the_policy_keeps_out_what_would_get_in() {
    let place = Place::new();
    let server = place.serve();
    browse(async |page| {
        page.open(&server.url).await;
        page.until("document.querySelector('h1')").await;
        let refused = page
            .script(
                "const done = arguments[0];
                 const refused = new Set();
                 const note = (what) => {
                     refused.add(what);
                     if (refused.size === 5) done([...refused].sort());
                 };
                 const attempt = (what, work) => { try { work(); } catch { note(what); } };
                 document.addEventListener('securitypolicyviolation', (event) => note(event.effectiveDirective));
                 attempt('html of a string', () => { document.body.innerHTML = '<b>x</b>'; });
                 const script = document.createElement('script');
                 attempt('script of a string', () => { script.text = 'window.harmed = 1'; });
                 script.append('window.harmed = 1');
                 document.body.append(script);
                 const image = document.createElement('img');
                 image.src = 'https://example.com/x.png';
                 fetch('https://example.com/').catch(() => {});",
                Vec::new(),
            )
            .await;
        let expected =
            ["connect-src", "html of a string", "img-src", "require-trusted-types-for", "script of a string"];
        assert_eq!(refused, json!(expected));
        assert_eq!(page.js("window.harmed ?? null").await, serde_json::Value::Null);
    })
    .await;
}
