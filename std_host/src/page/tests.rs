use std::{collections::BTreeSet, fs, path::Path};

use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header},
};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{FILES, router};

async fn ask(path: &str, tag: Option<&str>) -> Response<Body> {
    let mut request = Request::get(path);
    if let Some(tag) = tag {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn text<'r>(response: &'r Response<Body>, name: &header::HeaderName) -> &'r str {
    response.headers()[name].to_str().unwrap()
}

#[test]
fn every_file_of_the_page_is_served() {
    let served: BTreeSet<String> = FILES
        .iter()
        .map(|file| file.path.rsplit('/').next().unwrap())
        .map(|name| if name.is_empty() { "index.html".to_owned() } else { name.to_owned() })
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page/site");
    let there: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(served, there);
}

#[tokio::test]
async fn what_the_page_names_is_there_with_its_type() {
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/page/base.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let response = ask(path, None).await;
        assert_eq!((response.status(), text(&response, &header::CONTENT_TYPE)), (StatusCode::OK, kind));
        assert_eq!(text(&response, &header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(
            text(&response, &header::CONTENT_SECURITY_POLICY)
                .starts_with("default-src 'none'; script-src 'self';")
        );
        assert!(!response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
    assert_eq!(ask("/page/index.html", None).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(ask("/page/..%2f..%2fmod.rs", None).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_browser_that_has_a_file_does_not_get_it_again() {
    let first = ask("/page/main.js", None).await;
    let tag = text(&first, &header::ETAG);
    for has in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let again = ask("/page/main.js", Some(&has)).await;
        assert_eq!((again.status(), text(&again, &header::ETAG)), (StatusCode::NOT_MODIFIED, tag), "{has}");
        assert!(again.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
    let other = ask("/page/api.js", Some(tag)).await;
    assert_eq!(other.status(), StatusCode::OK);
}

/// What is in the files must not need what the policy forbids, or the page would fail where nobody looks.
#[test]
fn the_page_has_no_script_or_style_inside_its_html_and_makes_none_of_text() {
    let forbidden = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "style=",
        "//# ",
        "http://",
    ];
    for file in FILES {
        let source = std::str::from_utf8(file.bytes).unwrap();
        for word in forbidden {
            // The one address there is names the language of pictures.
            let source = source.replace("http://www.w3.org/2000/svg", "");
            assert!(!source.contains(word), "{} has {word}", file.path);
        }
        assert!(source.lines().count() < 400, "{} hides a second concept", file.path);
    }
    let html = std::str::from_utf8(FILES[0].bytes).unwrap();
    for script in html.match_indices("<script").map(|(at, _)| &html[at..]) {
        assert!(script.starts_with("<script type=\"module\" src=\"page/"));
    }
}

#[tokio::test]
async fn paths_of_views_lead_to_them() {
    for (path, place) in [
        ("/jobs", "./#/jobs"),
        ("/jobs/00112233-4455-6677-8899-aabbccddeeff", "../#/jobs/00112233-4455-6677-8899-aabbccddeeff"),
        ("/extensions/a%22b", "../#/extensions/a%22b"),
        ("/dispatch?job=a:b", "./#/dispatch"),
    ] {
        let response = ask(path, None).await;
        assert_eq!((response.status(), text(&response, &header::LOCATION)), (StatusCode::SEE_OTHER, place));
    }
    for other in ["/job", "/jobs/a/b", "//evil.example/jobs"] {
        assert_eq!(ask(other, None).await.status(), StatusCode::NOT_FOUND, "{other}");
    }
}
