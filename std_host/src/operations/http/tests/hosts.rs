//! Which hosts and addresses are reached.

use super::*;

#[test]
fn urls_that_lead_elsewhere_are_refused_before_anything_is_sent() {
    let server = Server::saying("HTTP/1.1 200 OK\r\n\r\nreached");
    let asked = [
        "*",
        "good.example",
        "http://good.example",
        "*.wild.example:8443",
        "http://10.0.0.1",
        "169.254.169.254",
    ];
    let asked: Vec<String> = asked.iter().map(|&text| text.to_owned()).collect();
    let grants = grants(&asked, &["good.example".to_owned(), "*.wild.example:8443".to_owned()], |_| {});
    let port = server.port;
    let here = |host: &str| format!("http://{host}:{port}/");
    let outside = "is outside of what the manifest's";
    let not_allowed = "not allowed by the operator";
    let odd = "it has a backslash, white space or control characters";
    for (url, expected) in [
        // This machine, in every spelling.
        (here("127.0.0.1"), outside),
        (here("localhost"), outside),
        (here("127.1"), outside),
        (here("2130706433"), outside),
        (here("0x7f000001"), outside),
        (here("0x7f.0.0.1"), outside),
        (here("0177.0.0.1"), outside),
        (here("017700000001"), outside),
        (here("0"), outside),
        (here("[::1]"), outside),
        (here("[::]"), outside),
        (here("[::ffff:127.0.0.1]"), outside),
        (here("[0:0:0:0:0:ffff:7f00:1]"), outside),
        (here("１２７.０.０.１"), outside),
        (here("①②⑦.0.0.1"), outside),
        (here("127。0。0。1"), outside),
        (here("[fe80::1%25lo]"), "invalid IPv6 address"),
        // What the manifest asks for alone, and clouds tell secrets at.
        ("http://10.0.0.1/".to_owned(), not_allowed),
        ("https://169.254.169.254/latest/meta-data".to_owned(), not_allowed),
        ("https://metadata.google.internal/".to_owned(), not_allowed),
        ("http://good.example/".to_owned(), not_allowed),
        ("https://evil.example/".to_owned(), not_allowed),
        ("https://good.example.evil.example/".to_owned(), not_allowed),
        ("https://wild.example:8443/".to_owned(), outside),
        ("https://a.wild.example/".to_owned(), not_allowed),
        ("https://good.example:8443/".to_owned(), outside),
        // Names before an @, and what looks like a host and is none.
        ("https://good.example@evil.example/".to_owned(), "a user's name or password"),
        ("https://good.example:443@evil.example/".to_owned(), "a user's name or password"),
        ("https://user:pass@good.example/".to_owned(), "a user's name or password"),
        ("https://good.example%2f@evil.example/".to_owned(), "a user's name or password"),
        ("https://evil.example#@good.example/".to_owned(), not_allowed),
        ("https://evil.example?@good.example/".to_owned(), not_allowed),
        ("https://evil.example\\@good.example/".to_owned(), odd),
        ("https:\\\\good.example/".to_owned(), odd),
        ("https://good.example\\.evil.example/".to_owned(), odd),
        ("https://good.example\t.evil.example/".to_owned(), odd),
        ("https://good.example/\r\nHost: evil.example".to_owned(), odd),
        (" https://good.example/".to_owned(), odd),
        ("https://good.example./".to_owned(), "its host ends with a dot"),
        ("https:/good.example/".to_owned(), "it must start with https:// or http://"),
        ("https:good.example/".to_owned(), "it must start with https:// or http://"),
        ("https:///good.example/".to_owned(), "it must start with https:// or http://"),
        ("//good.example/".to_owned(), "it must start with https:// or http://"),
        ("good.example".to_owned(), "it must start with https:// or http://"),
        (String::new(), "it must start with https:// or http://"),
        // Other schemes.
        ("file:///etc/passwd".to_owned(), "it must start with https:// or http://"),
        ("file://good.example/etc/passwd".to_owned(), "its scheme is \"file\""),
        ("gopher://good.example:70/_x".to_owned(), "its scheme is \"gopher\""),
        ("ftp://good.example/".to_owned(), "its scheme is \"ftp\""),
        ("data://good.example/".to_owned(), "its scheme is \"data\""),
        ("javascript:alert(1)".to_owned(), "it must start with https:// or http://"),
        (format!("https://good.example/{}", "x".repeat(8 << 10)), "it may have 8192"),
    ] {
        let error = get(&grants, &url).unwrap_err();
        assert!(error.contains(expected), "{url}: {error}");
    }
    assert_eq!(server.requests(), [""; 0]);
    let refused = grants.network.refused().join("\n");
    assert!(refused.contains("\"http://10.0.0.1\", which is not granted"), "{refused}");
    assert!(!refused.contains("wild"), "{refused}");
}

#[test]
fn who_has_no_access_reaches_nothing() {
    let error = get(&Grants::default(), "https://example.com").unwrap_err();
    assert_eq!(error, "this extension may reach nothing over the network");
    let asked = ["api.example.com".to_owned()];
    let manifest_alone = grants(&asked, &[], |_| {});
    assert!(
        get(&manifest_alone, "https://api.example.com").unwrap_err().contains("not allowed by the operator")
    );
    let operator_alone = grants(&[], &asked, |_| {});
    assert!(get(&operator_alone, "https://api.example.com").unwrap_err().contains("is outside of what"));
}

#[test]
fn a_name_that_leads_to_a_private_address_is_not_followed() {
    let server = Server::new(|_, stream| drop(stream.write_all(ok("reached").as_bytes())));
    let host = [format!("http://name.example:{}", server.port)];
    let url = format!("{}/", host[0]);
    for address in
        ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "fd00:ec2::254"]
    {
        let grants = with_lookup(&host, &host, names(&[&[address]]).0, |_| {});
        let error = get(&grants, &url).unwrap_err();
        assert!(error.contains("which is not public"), "{address}: {error}");
    }
    // A name is agreed to by its name, its address by its own.
    let allow = [host[0].clone(), "127.0.0.0/8".to_owned()];
    let only_address = with_lookup(&host, &allow[1..], names(&[&["127.0.0.1"]]).0, |_| {});
    assert!(get(&only_address, &url).unwrap_err().contains("not allowed by the operator"));
    let both = with_lookup(&host, &allow, names(&[&["10.0.0.1", "127.0.0.1"]]).0, |_| {});
    assert_eq!(get(&both, &url).unwrap()["body"], "reached", "by the address that may be");
    assert!(server.requests()[0].contains(&format!("host: name.example:{}", server.port)));
    let none = with_lookup(&host, &allow, names(&[&[]]).0, |_| {});
    assert!(get(&none, &url).unwrap_err().contains("it has no address"));
}

#[test]
fn a_name_that_changes_its_mind_gains_nothing() {
    let server = Server::new(|_, stream| drop(stream.write_all(ok("reached").as_bytes())));
    let host = [format!("http://name.example:{}", server.port)];
    // The address is allowed with another port, which is none of the name's business.
    let elsewhere = [host[0].clone(), "http://127.0.0.1".to_owned()];
    let grants = with_lookup(&host, &elsewhere, names(&[&["127.0.0.1"]]).0, |_| {});
    assert!(get(&grants, &format!("{}/", host[0])).unwrap_err().contains("which is not public"));
    let allow = [host[0].clone(), format!("http://127.0.0.1:{}", server.port)];
    let (lookup, asked) = names(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let grants = with_lookup(&host, &allow, lookup, |_| {});
    let url = format!("{}/", host[0]);
    assert_eq!(get(&grants, &url).unwrap()["body"], "reached");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "what is checked is what is connected to");
    assert!(get(&grants, &url).unwrap_err().contains("10.0.0.1, which is not public"));
    assert_eq!((asked.load(Ordering::SeqCst), server.requests().len()), (2, 1));
}
