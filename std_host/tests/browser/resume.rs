//! A server that is gone for a while.

use serde_json::json;

use crate::{browser::browse, place::Place};

const ITEMS: &str = "Number([...document.querySelectorAll('.facts dt')].find((one) => one.textContent === 'Items')\
    ?.nextElementSibling.textContent.replaceAll(',', ''))";

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn the_page_goes_on_after_the_server_was_killed() {
    let place = Place::new();
    let server = place.serve();
    let address = server.address();
    let id = place.dispatch("test-extension:tally", &json!({ "target": 1_000_000, "pace_ms": 5 }));
    browse(async |page| {
        page.open(&format!("{}#/jobs/{id}", server.url)).await;
        page.until_state("running").await;
        page.until(&format!("{ITEMS} > 20")).await;
        let before = page.js(ITEMS).await.as_u64().unwrap();
        // It would be gone, if the page were loaded again.
        page.js("window.stayed = true").await;
        drop(server);
        page.until("!document.getElementById('banner').hidden").await;
        page.until_text("Not connected").await;
        // What it shows stays, and it does not stop trying.
        assert!(page.js(ITEMS).await.as_u64().unwrap() >= before);
        let server = place.serve_at(&address, &[]);
        page.until("document.getElementById('banner').hidden").await;
        page.until(&format!("{ITEMS} > {}", before + 50)).await;
        page.button("Cancel").await;
        page.button("Cancel the job").await;
        page.until_state("cancelled").await;

        page.open(&format!("{}#/jobs", server.url)).await;
        let asleep = place.dispatch("test-extension:nap", &json!({ "ms": 3_600_000 }));
        // One that sleeps runs, though the store has not been told.
        page.until("document.querySelector('.tabs [data-state=running] .number').textContent === '1'").await;
        page.until("document.querySelector('.tabs [data-state=queued] .number').textContent === '0'").await;
        place.ok(&["job", "cancel", &asleep]);

        // What happened while it was away shows in the list as well.
        page.open(&format!("{}#/jobs", server.url)).await;
        page.until("document.querySelectorAll('tbody tr').length === 2").await;
        page.until_text("Live").await;
        drop(server);
        page.until("!document.getElementById('banner').hidden").await;
        let other = place.dispatch("test-extension:counter", &json!({ "target": 1 }));
        let _server = place.serve_at(&address, &[]);
        // Unless the page was quicker.
        page.js("document.querySelector('#banner button')?.click()").await;
        page.until(&format!(
            "document.querySelector('[data-job=\"{other}\"] .state')?.textContent === 'completed'"
        ))
        .await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_page_that_nobody_sees_lets_go_and_resumes_once_it_is_seen() {
    let place = Place::new();
    let server = place.serve();
    browse(async |page| {
        // A browser without a screen shows all of its pages, so this one is told that it is not seen.
        let set = |state: &str| {
            format!(
                "(Object.defineProperty(document, 'visibilityState', {{ value: '{state}', configurable: true }}), \
                 document.dispatchEvent(new Event('visibilitychange')))"
            )
        };
        page.open(&server.url).await;
        page.until_text("Live").await;
        page.js("performance.clearResourceTimings()").await;
        page.js(&set("hidden")).await;
        // A request is noted once it has ended.
        page.until("performance.getEntriesByType('resource').some(({ name }) => name.endsWith('/api/v1/events'))").await;
        let id = place.dispatch("test-extension:counter", &json!({ "target": 1 }));
        page.js(&set("visible")).await;
        page.until(&format!("document.querySelector('[data-job=\"{id}\"] .state')?.textContent === 'completed'")).await;
        assert!(page.js("document.getElementById('banner').hidden").await.as_bool().unwrap());
    })
    .await;
}
