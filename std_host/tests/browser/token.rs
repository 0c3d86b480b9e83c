//! A server that wants a token.

use std::fs;

use crate::{browser::browse, place::Place};

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn the_page_asks_for_the_token_and_forgets_it_with_the_tab() {
    let place = Place::new();
    let file = place.folder().join("token");
    let server = place.serve_with(&["--token-file", &file.display().to_string()]);
    let token = fs::read_to_string(&file).unwrap().trim().to_owned();
    let id = place.dispatch("test-extension:counter", &serde_json::json!({ "target": 1 }));
    browse(async |page| {
        page.open(&format!("{}#/jobs/{id}", server.url)).await;
        page.until("document.querySelector('dialog[open]')").await;
        assert_eq!(
            page.js("document.querySelectorAll('dialog').length").await,
            1,
            "several requests, one question"
        );
        assert!(!page.text().await.contains("counter"));
        page.fill("Token", "not-the-token-of-this-server").await;
        page.button("Sign in").await;
        page.until("document.querySelector('dialog [role=alert]')?.textContent.includes('another token')")
            .await;
        page.fill("Token", &token).await;
        page.button("Sign in").await;
        page.until_state("completed").await;
        page.until_text("✓ Completed!").await;
        page.until_text("Live").await;
        // It stands in no address, and nowhere that outlives the tab.
        let elsewhere = page.js("document.cookie + JSON.stringify(localStorage) + location.href").await;
        assert!(!elsewhere.as_str().unwrap().contains(&token));
        page.reload().await;
        page.until_state("completed").await;
        assert_eq!(page.js("document.querySelectorAll('dialog').length").await, 0);
        page.button("Sign out").await;
        page.until("document.querySelector('dialog[open]')").await;
        assert!(!page.text().await.contains("✓ Completed!"));
        assert_eq!(page.js("sessionStorage.length").await, 0);
    })
    .await;
}
