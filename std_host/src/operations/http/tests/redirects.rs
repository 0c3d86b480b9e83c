//! Where redirects lead, and what they take along.

use super::*;

#[test]
fn a_redirect_is_followed_only_where_the_first_request_could_have_gone() {
    let server = Server::redirecting(302);
    let other = Server::saying("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nother");
    let (here, there) = (server.url(""), other.url(""));
    let asked =
        [here.clone(), there.clone(), "http://10.0.0.1".to_owned(), "http://rebind.example".to_owned()];
    let grants = with_lookup(
        &asked,
        &[here.clone(), "http://rebind.example".to_owned()],
        names(&[&["192.168.0.1"]]).0,
        |_| {},
    );
    let redirected = |to: &str| get(&grants, &format!("{here}/to?{to}"));
    for to in ["/landed", "landed", &format!("//127.0.0.1:{}/landed", server.port), &format!("{here}/landed")]
    {
        let reply = redirected(to).unwrap();
        assert!(reply["body"].as_str().unwrap().starts_with("GET /landed "), "{reply}");
        assert_eq!(reply["url"], server.url("/landed"));
    }
    for (to, expected) in [
        (there.as_str(), "not allowed by the operator"),
        ("http://10.0.0.1/", "not allowed by the operator"),
        ("http://evil.example/", "is outside of what the manifest's"),
        ("http://rebind.example/", "192.168.0.1, which is not public"),
        ("file:///etc/passwd", "it must start with https://"),
        ("http://user@127.0.0.1/", "a user's name or password"),
        ("http://[", "it is no URL"),
        (&format!("/to?{}", "x".repeat(9_000)), "it may have 8192"),
    ] {
        let error = redirected(to).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
    }
    assert_eq!(other.requests(), [""; 0]);
    for odd in ["\\\\evil.example/", "/a\\..\\b", "http://evil.example\t/"] {
        let bytes = format!("HTTP/1.1 302 Go\r\nlocation: {odd}\r\nconnection: close\r\n\r\n");
        let server = Server::new(move |_, stream| drop(stream.write_all(bytes.as_bytes())));
        let error = get(&to(&server), &server.url("/")).unwrap_err();
        assert!(error.contains("which is not followed: it is no URL"), "{odd:?}: {error}");
    }
    let seen = server.requests().len();
    let circle = Server::saying("HTTP/1.1 301 Go\r\nlocation: /\r\nconnection: close\r\n\r\n");
    assert!(get(&to(&circle), &circle.url("/")).unwrap_err().contains("more than 5 redirects"));
    assert_eq!((circle.requests().len(), server.requests().len()), (6, seen));
}

#[test]
fn a_redirect_never_leads_from_https_to_http() {
    let asked = ["https://a.example".to_owned(), "http://a.example".to_owned()];
    let access = grants(&asked, &asked, |_| {}).network.inner().unwrap().clone();
    let request = |url: &str| Request {
        method: Method::GET,
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Vec::new(),
        most_bytes: 0,
    };
    let go = |from: &str, to: &'static str| {
        request(from).redirected(&access, StatusCode::FOUND, &HeaderValue::from_static(to)).map(drop)
    };
    assert!(
        go("https://a.example", "http://a.example/").unwrap_err().to_string().contains("from https to http")
    );
    assert_eq!(go("http://a.example", "https://a.example/"), Ok(()));
}

#[test]
fn what_a_redirect_takes_along_depends_on_where_it_leads() {
    let other = Server::new(|request, stream| drop(stream.write_all(ok(request).as_bytes())));
    for (status, method, expected) in
        [(302, "POST", "GET"), (303, "PUT", "GET"), (307, "POST", "POST"), (308, "PUT", "PUT")]
    {
        let server = Server::redirecting(status);
        let hosts = [server.url(""), other.url("")];
        let secret = Secret::new("example", &server.url(""), "X-Key", "very secret").unwrap();
        let grants = grants(&hosts, &hosts, |options| options.secrets.push(secret));
        let url = server.url(&format!("/to?{}", other.url("/landed")));
        let headers =
            json!({ "Authorization": "mine", "Cookie": "a=b", "X-Mine": "yes", "Content-Type": "a/b" });
        let input = json!({ "url": url, "method": method, "headers": headers, "body": "content" });
        let landed = call(&grants, "action:http.fetch", input).unwrap()["body"].as_str().unwrap().to_owned();
        assert!(landed.starts_with(&format!("{expected} /landed ")), "{status}: {landed}");
        assert_eq!(landed.ends_with("content"), expected != "GET", "{status}: {landed}");
        assert_eq!(landed.contains("content-type"), expected != "GET", "{status}: {landed}");
        assert!(landed.contains("x-mine: yes"), "{landed}");
        assert!(
            !landed.contains("mine\r\n\r\n")
                && !landed.contains("authorization")
                && !landed.contains("cookie")
        );
        assert!(!landed.contains("x-key"), "{landed}");
        assert!(server.requests()[0].contains("x-key: very secret\r\n"));
    }
}

/// Messages are cut, and a secret that the cut goes through must not be half in them.
#[test]
fn a_secret_is_hidden_before_what_has_it_is_cut() {
    const VALUE: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
    for before in 0..120 {
        let at = format!("http://elsewhere.example/{}{VALUE}{}", "x".repeat(before), "y".repeat(100));
        let location =
            format!("HTTP/1.1 302 Go\r\nlocation: {at}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let server = Server::new(move |_, stream| drop(stream.write_all(location.as_bytes())));
        let here = [server.url("")];
        let secret = Secret::new("example", &here[0], "X-Key", VALUE).unwrap();
        let grants = grants(&here, &here, |options| options.secrets.push(secret));
        let asked = server.url(&format!("/{}{VALUE}", "z".repeat(before)));
        for error in [get(&grants, &server.url("/")), get(&grants, &asked)] {
            let error = error.unwrap_err();
            assert!(!error.contains("0123"), "{before}: {error}");
        }
    }
}
