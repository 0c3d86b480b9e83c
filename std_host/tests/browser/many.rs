//! Ten thousand jobs.

use std::{net::SocketAddr, path::Path};

use serde_json::json;
use std_host::{
    api::Api,
    manager::{Dispatch, Manager, ManagerConfig},
    server::{Access, Server},
};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{browser::browse, place::test_extension};

const JOBS: usize = 10_000;
/// Dispatched at a time, so that the store writes many together.
const TOGETHER: usize = 500;

/// A manager that runs none of its jobs.
async fn manager(folder: &Path) -> Manager {
    let manager = Manager::open(ManagerConfig { workers: 0, ..ManagerConfig::new(folder) }).unwrap();
    manager.add_extension(&test_extension()).unwrap();
    for start in (0..JOBS).step_by(TOGETHER) {
        let some = (start..start + TOGETHER).map(|number| {
            let name = if number % 10 == 0 { "test-extension:tally" } else { "test-extension:counter" };
            let state = json!({ "target": number }).to_string().into_bytes();
            manager.dispatch(name, Dispatch { state, ..Dispatch::default() })
        });
        futures_util::future::try_join_all(some).await.unwrap();
    }
    manager
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_list_of_ten_thousand_jobs_is_as_quick_as_one_of_fifty() {
    let folder = tempfile::tempdir().unwrap();
    let manager = manager(folder.path()).await;
    let api = Api::new(manager.clone());
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut server = Server::new(api);
    server.on_address(listener, Access::default(), None);
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(server.run(async { drop(stopped.await) }));

    browse(async |page| {
        let rows = "document.querySelectorAll('tbody tr').length";
        let first = "document.querySelector('tbody tr')?.dataset.job";
        let is_at = |number: u32| {
            format!("document.getElementById('list-total').textContent.endsWith('page {number}')")
        };
        page.open(&url).await;
        page.until("document.querySelector('.tabs [aria-current] .number').textContent === '10,000'").await;
        page.until(&format!("{rows} === 50")).await;
        let newest = page.js(first).await;
        // Page for page, and back to where it was.
        let mut starts = vec![newest.clone()];
        for number in 2..=5 {
            page.link("Older").await;
            page.until(&is_at(number)).await;
            assert_eq!(page.js(rows).await, 50);
            starts.push(page.js(first).await);
        }
        for number in (1..=4).rev() {
            let before = page.js(first).await;
            page.until(
                "[...document.querySelectorAll('.pager a')].some((a) => a.textContent === 'Newer' && a.href)",
            )
            .await;
            page.link("Newer").await;
            page.until(&format!("{first} !== {before}")).await;
            assert_eq!(page.js(first).await, starts[number - 1], "page {number}");
        }
        assert!(page.js("document.querySelectorAll('*').length").await.as_u64().unwrap() < 2_000);

        // What is looked for is found in all of them.
        page.fill("Name or id starts with", "test-extension:tally").await;
        page.until(
            "[...document.querySelectorAll('tbody .job-link')].every((link) => link.textContent === 'tally')",
        )
        .await;
        assert_eq!(page.js(rows).await, 50);
        let id = starts[4].as_str().unwrap();
        page.fill("Name or id starts with", &id[..13]).await;
        page.until(&format!("{rows} === 1 && {first} === '{id}'")).await;
        page.fill("Name or id starts with", "nothing").await;
        page.until_text("No job fits.").await;
        page.link("Show all").await;
        page.until(&format!("{first} === {newest}")).await;

        // What comes shows, and what happens to those that are seen.
        let new = manager.dispatch("test-extension:nap", Dispatch::default()).await.unwrap();
        page.until(&format!("{first} === '{}'", new.id())).await;
        assert_eq!(page.js(rows).await, 50);
        page.until("document.querySelector('.tabs [aria-current] .number').textContent === '10,001'").await;
        new.pause().await.unwrap();
        page.until(&format!(
            "document.querySelector('[data-job=\"{}\"] .state').textContent === 'paused'",
            new.id()
        ))
        .await;
        page.link("Paused 1").await;
        page.until(&format!("{rows} === 1")).await;
        new.cancel().await.unwrap();
        page.until_text("No job fits.").await;
        assert_eq!(page.complaints().await, [""; 0]);
    })
    .await;
    drop(stop);
    served.await.unwrap();
}
