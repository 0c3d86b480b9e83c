//! The pictures of docs/screenshots.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    browser::browse,
    picture,
    place::{Place, test_extension},
};

/// Bytes of a picture at most: all of them are in everybody's checkout.
const LARGEST: usize = 150_000;

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn pictures_of_the_views() {
    let wanted = env::var_os("TOEHOLD_SCREENSHOTS").is_some();
    let place = Place::new();
    let server = place.serve_with(&["--attempts", "2"]);
    let running = fill(&place);
    browse(async |page| {
        let views = [
            ("jobs", "#/jobs".to_owned(), "document.querySelectorAll('tbody tr').length > 7"),
            ("job", format!("#/jobs/{running}"), "document.querySelectorAll('.log-line').length > 0 && document.querySelector('.chart .line')?.getAttribute('d')?.split('L').length > 40"),
            ("dispatch", "#/dispatch?job=test-extension:tally".to_owned(), "document.querySelector('.form-members')"),
            ("extensions", "#/extensions".to_owned(), "document.querySelector('.extension')"),
        ];
        for (name, hash, shown) in &views {
            page.open(&format!("{}{hash}", server.url)).await;
            page.until(shown).await;
            if *name == "extensions" {
                page.give_files("input[type=file]", &[newer(&place)]).await;
                page.until("document.querySelector('.review')").await;
            }
            page.js("document.activeElement.blur()").await;
            for (size, width, height) in [("wide", 1_280, 860), ("narrow", 390, 844)] {
                for scheme in ["light", "dark"] {
                    page.look(width, height, scheme).await;
                    page.js("scrollTo(0, 0)").await;
                    let picture = page.picture().await;
                    if wanted {
                        keep(&format!("{name}-{size}-{scheme}.png"), &picture);
                    }
                }
            }
        }
    })
    .await;
}

fn keep(name: &str, picture: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/screenshots");
    let picture = picture::with_palette(picture);
    assert!(picture.len() < LARGEST, "{name} has {} bytes", picture.len());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), picture).unwrap();
}

/// Jobs in every state. Gives the one that runs and has the most to show.
fn fill(place: &Place) -> String {
    let dispatch = |job: &str, state: Value| place.dispatch(&format!("test-extension:{job}"), &state);
    let ended = [
        dispatch("wordcount", json!({})),
        dispatch("crash", json!({ "message": "the rope is frayed at metre 40" })),
        dispatch("family", json!({ "children": 1, "job": "spin" })),
        dispatch("spin", json!({ "rounds": 200_000 })),
    ];
    for id in &ended {
        place.command_status(&["job", "wait", id]);
    }
    dispatch("nap", json!({ "ms": 3_600_000, "naps": 4 }));
    let paused = dispatch("counter", json!({ "target": 1_500 }));
    until_items(place, &paused, 400);
    place.ok(&["job", "pause", &paused]);
    let cancelled = dispatch("tally", json!({ "target": 60, "pace_ms": 30 }));
    until_items(place, &cancelled, 15);
    place.ok(&["job", "cancel", &cancelled]);
    dispatch("tally", json!({ "target": 3_000, "pace_ms": 25, "prefix": "nightly" }));
    let halfway = dispatch("tally", json!({ "target": 1_800, "pace_ms": 40, "prefix": "photos" }));
    let running = dispatch("counter", json!({ "target": 900_000 }));
    until_items(place, &halfway, 250);
    running
}

/// Waits until a job has done so much.
fn until_items(place: &Place, id: &str, items: u64) {
    while place.status(id)["report"]["items"].as_u64().unwrap() < items {}
}

/// The test extension as somebody else would publish it: a newer version, which wants more, signed.
fn newer(place: &Place) -> PathBuf {
    let made = place.folder().join("newer");
    fs::create_dir(&made).unwrap();
    let mut manifest: Value =
        serde_json::from_slice(&fs::read(test_extension().join("manifest.json")).unwrap()).unwrap();
    manifest["version"] = "0.2.0".into();
    manifest["permissions"]["file_access"] = json!([]);
    manifest["permissions"]["network_access"] = json!(["api.example.com"]);
    manifest["permissions"]["methods"] =
        json!(["query:fs.", "query:http.fetch", "action:kv.", "action:sleep", "action:jobs."]);
    fs::write(made.join("manifest.json"), manifest.to_string()).unwrap();
    fs::copy(test_extension().join("test_extension.wasm"), made.join("test_extension.wasm")).unwrap();
    let (key, package) = (place.folder().join("key"), place.folder().join("newer.toehold"));
    let path = |path: &Path| path.display().to_string();
    place.ok(&["key", "generate", &path(&key)]);
    place.ok(&["extension", "pack", &path(&made), "--sign", &path(&key), "-o", &path(&package)]);
    package
}
