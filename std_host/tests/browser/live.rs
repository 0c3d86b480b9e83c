//! What the page learns while it is open, and how soon; over an encrypted connection too.

use std::fs;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;

use crate::{
    browser::browse,
    place::{ID, ID_BYTES, Place},
};

/// Children that show on the page of their parent, with their states.
const CHILDREN: &str =
    "[...document.querySelectorAll('.children .state')].map((one) => one.textContent).join(' ')";

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn children_show_as_they_come_and_as_they_go_on() {
    let place = Place::new();
    let server = place.serve();
    browse(async |page| {
        let parent = place.dispatch(
            "test-extension:family",
            &json!({ "children": 2, "job": "nap", "state": { "ms": 3_600_000 } }),
        );
        page.open(&format!("{}#/jobs/{parent}", server.url)).await;
        page.until(&format!("{CHILDREN} === 'asleep asleep'")).await;
        page.js("window.stayed = document.querySelector('.children li')").await;
        let child = page.js("document.querySelector('.children a').hash.split('/')[2]").await;
        place.ok(&["job", "cancel", child.as_str().unwrap()]);
        page.until(&format!("{CHILDREN} === 'cancelled asleep'")).await;
        assert_eq!(
            page.js("document.querySelector('.children li') === window.stayed").await,
            true,
            "it stays where it is"
        );
        assert_eq!(page.complaints().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn the_page_works_over_an_encrypted_connection() {
    let place = Place::new();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = place.folder().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (file("cert.pem", cert.pem()), file("key.pem", signing_key.serialize_pem()));
    let server = place.serve_with(&["--tls-cert", &cert, "--tls-key", &key]);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    browse(async |page| {
        // Nobody vouches for a certificate that was made just now.
        page.devtools("Security.setIgnoreCertificateErrors", json!({ "ignore": true })).await;
        page.open(&format!("{}#/dispatch?job=test-extension:counter", server.url)).await;
        page.until("document.querySelector('.form-members')").await;
        page.fill("State as JSON", r#"{"target": 300}"#).await;
        page.button("Dispatch").await;
        page.until_state("completed").await;
        page.until_text("Live").await;
        assert_eq!(page.js("isSecureContext").await, true);
    })
    .await;
}

/// A page that is left may be kept by the browser, to come back to: it must let go of its connections all the same, of which there
/// are six for one server.
#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_page_that_is_left_lets_go_of_its_connections() {
    let place = Place::new();
    let server = place.serve();
    browse(async |page| {
        let leave = |name: &str| format!("dispatchEvent(new PageTransitionEvent('{name}', {{ persisted: true }}))");
        let streams = "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/api/v1/events')).length";
        page.open(&server.url).await;
        page.until_text("Live").await;
        page.js("performance.clearResourceTimings()").await;
        page.js(&leave("pagehide")).await;
        // A request is noted once it has ended.
        page.until(&format!("{streams} === 1")).await;
        let id = place.dispatch("test-extension:counter", &json!({ "target": 1 }));
        place.ok(&["job", "wait", &id]);
        page.js(&leave("pageshow")).await;
        page.until(&format!("document.querySelector('[data-job=\"{id}\"] .state')?.textContent === 'completed'")).await;
        assert_eq!(page.js("document.getElementById('banner').hidden").await, true);

        // Eight times away and back, as by links: with connections that are kept the seventh would wait for ever.
        for _ in 0..8 {
            page.open("about:blank").await;
            page.open(&server.url).await;
            page.until_text("Live").await;
        }
    })
    .await;
}

/// Asks what time it is and tells that as its progress, with some work in between.
fn clock() -> String {
    format!(
        r#"(module
    (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
    (import "spacedrive" "job_report_progress" (func $progress (param i32 f32 i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "query:time.now{{}}")
    (data (i32.const 64) "{ID_BYTES}")
    (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
    (func (export "execute_go") (param i32 i32 i32 i32) (result i32) (local $reply i32) (local $n i32)
        (loop $again
            (local.set $n (i32.const 2000000))
            (loop $work (br_if $work (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.set $reply (call $call (i32.const 0) (i32.const 14) (i32.const 0) (i32.const 14) (i32.const 2)))
            (call $progress (i32.const 64) (f32.const 0.5) (i32.add (local.get $reply) (i32.const 4)) (i32.load (local.get $reply)))
            (br $again))
        (i32.const 0)))"#
    )
}

/// Listens as the page's views do, and notes how old each progress is.
const DELAYS: &str = "
    const [id, count, done] = arguments;
    const ages = [], shown = [];
    const bar = document.querySelector('.job-progress');
    const seen = new MutationObserver(() => {
        const told = /unix_ms\":(\\d+)/.exec(bar.innerText);
        if (told && shown.length < count) shown.push(Date.now() - Number(told[1]));
    });
    seen.observe(bar, { subtree: true, childList: true, characterData: true });
    import(new URL('/page/live.js', location.href).href).then(({ listen }) => {
        const over = new AbortController();
        listen({ reset() {}, event(event) {
            if (event.job_id !== id || event.event !== 'progress' || !event.progress) return;
            ages.push(Date.now() - JSON.parse(event.progress.message).unix_ms);
            if (ages.length < count) return;
            over.abort();
            seen.disconnect();
            done({ ages, shown });
        } }, over.signal);
    }, (error) => done({ error: String(error) }));";

/// How long it takes from a guest's progress to the page: `cargo xtask bench browser` prints it.
#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_guest_s_progress_comes_to_the_page() {
    let count = std::env::var("TOEHOLD_BENCH").map_or(20, |_| 1_000);
    let place = Place::empty();
    let manifest = json!({
        "id": "clock", "name": "Clock", "version": "1", "description": "", "author": "", "wasm_file": "module.wasm",
        "permissions": { "methods": ["query:"], "max_memory_mb": 1, "rate_limits": { "requests_per_minute": 1_000_000 } },
    });
    place.ok(&["extension", "add", place.extension(&manifest, &clock()).to_str().unwrap()]);
    let server = place.serve();
    place.dispatch_known("clock:go", &json!({}));
    browse(async |page| {
        page.open(&format!("{}#/jobs/{ID}", server.url)).await;
        page.until_state("running").await;
        page.until("document.querySelector('.job-progress').innerText.includes('unix_ms')").await;
        let told = page.script(DELAYS, vec![json!(ID), json!(count)]).await;
        for (name, what) in [("ages", "the page's event"), ("shown", "the page's text")] {
            let found = told[name].as_array().unwrap_or_else(|| panic!("{told}"));
            let mut ages: Vec<i64> = found.iter().map(|age| age.as_i64().unwrap()).collect();
            assert!(!ages.is_empty() && ages.iter().all(|age| (0..60_000).contains(age)), "{ages:?}");
            ages.sort_unstable();
            let at = |part: usize| ages[(ages.len() * part / 100).min(ages.len() - 1)];
            println!(
                "| from a guest's progress to {what}, of {}: median, p99, most | {} ms, {} ms, {} ms |",
                ages.len(),
                at(50),
                at(99),
                at(100)
            );
        }
    })
    .await;
}
