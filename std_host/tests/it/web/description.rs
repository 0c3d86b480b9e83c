//! What the API says of itself.

use serde_json::{Value, json};

use crate::command::{Place, Server};

/// What a route answers must be as the description has it.
#[track_caller]
fn holds(description: &Value, schema: &str, value: &Value) {
    let whole =
        json!({ "$ref": format!("#/components/schemas/{schema}"), "components": description["components"] });
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{schema}: {errors:#?} in {value:#}");
}

/// The schema that is described for the answer of a route.
fn answered(description: &Value, method: &str, path: &str) -> String {
    let responses = description["paths"][path][method]["responses"].as_object().unwrap();
    let (_, good) = responses.iter().find(|(status, _)| status.starts_with('2')).unwrap();
    let reference = good["content"]["application/json"]["schema"]["$ref"].as_str();
    reference.unwrap_or_else(|| panic!("{method} {path}: {good}")).rsplit('/').next().unwrap().to_owned()
}

#[test]
fn answers_are_as_they_are_described() {
    let place = Place::new();
    let server = place.serve();
    let description = server.get("/api/v1/openapi.json").json();
    assert_eq!(description["openapi"], "3.1.0");
    let dispatch = |job: &str, state: Value| -> String {
        let job =
            server.post("/api/v1/jobs", &json!({ "job": format!("test-extension:{job}"), "state": state }));
        holds(&description, "JobStatus", &job.json());
        let id = job.json()["job_id"].as_str().unwrap().to_owned();
        place.run(&["job", "wait", &id]);
        id
    };
    let counted = dispatch("counter", json!({ "target": 30 }));
    let failed = dispatch("crash", json!({}));
    let check = |path: &str, route: &str| {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        holds(&description, &answered(&description, "get", route), &answer.json());
    };
    for id in [&counted, &failed] {
        for part in ["", "/events", "/logs", "/checkpoint", "/state", "/wait"] {
            check(&format!("/api/v1/jobs/{id}{part}"), &format!("/api/v1/jobs/{{id}}{part}"));
        }
    }
    check("/api/v1/jobs?state=completed", "/api/v1/jobs");
    check("/api/v1/jobs?limit=1", "/api/v1/jobs");
    check(&format!("/api/v1/jobs?id_prefix={}", &counted[..6]), "/api/v1/jobs");
    check("/api/v1/extensions", "/api/v1/extensions");
    check("/api/v1/extensions/test-extension", "/api/v1/extensions/{id}");
    check("/api/v1/health", "/api/v1/health");
    for (path, status) in [("/api/v1/jobs/7", 400), ("/api/v1/extensions/none", 404), ("/nowhere", 404)] {
        let answer = server.get(path);
        assert_eq!(answer.status, status);
        holds(&description, "ApiProblem", &answer.json());
    }
}

#[test]
fn every_route_is_described_with_what_it_takes_and_answers() {
    let place = Place::new();
    let server = place.serve();
    let description = server.get("/api/v1/openapi.json").json();
    let paths = description["paths"].as_object().unwrap();
    let mut routes = 0;
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            routes += 1;
            let at = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 10), "{at}");
            assert!(operation["responses"]["default"].is_object(), "{at}");
            let named = path.matches('{').count();
            let parameters = operation["parameters"]
                .as_array()
                .map_or(0, |all| all.iter().filter(|parameter| parameter["in"] == "path").count());
            assert_eq!(named, parameters, "{at}: a part of its path is not described");
            // And it is there.
            let asked = path.replace("{id}", "00000000-0000-0000-0000-000000000000");
            if method != "get" || !asked.ends_with("/events") || asked.contains("jobs") {
                let answer =
                    server.ask(&method.to_uppercase(), &asked, &["content-type: application/json"], b"");
                let unknown = answer.status == 404 && answer.code() == "no_such_route";
                assert!(!unknown && answer.status != 405, "{at}: {answer:?}");
            }
        }
    }
    assert!(routes >= 22, "{routes}");
    let text = description.to_string();
    for reference in
        text.match_indices("\"$ref\":\"#/components/schemas/").map(|(at, found)| &text[at + found.len()..])
    {
        let name = reference.split('"').next().unwrap();
        assert!(description["components"]["schemas"][name].is_object(), "{name} is named and not described");
    }
}

fn metric(server: &Server, line: &str) -> Option<f64> {
    let text = String::from_utf8(server.get("/metrics").body).unwrap();
    assert!(text.ends_with("# EOF\n"));
    let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned));
    found.map(|value| value.parse().unwrap())
}

#[test]
fn what_happens_is_counted() {
    let place = Place::new();
    let server = place.serve();
    assert_eq!(metric(&server, "toehold_jobs{state=\"completed\"}"), Some(0.0));
    let id = place.dispatch("counter", &json!({ "target": 30 }));
    place.ok(&["job", "wait", &id]);
    assert_eq!(metric(&server, "toehold_jobs{state=\"completed\"}"), Some(1.0));
    assert_eq!(metric(&server, "toehold_job_events_total{event=\"completed\"}"), Some(1.0));
    assert!(metric(&server, "toehold_store_bytes").unwrap() > 10_000.0);
    server.get("/api/v1/jobs/7");
    let route = "toehold_http_requests_total{method=\"GET\",route=\"/api/v1/jobs/{id}\",status=\"400\"}";
    assert_eq!(metric(&server, route), Some(1.0));
    // What somebody makes up is no name of a route.
    server.get("/made/up");
    assert_eq!(
        metric(&server, "toehold_http_requests_total{method=\"GET\",route=\"/made/up\",status=\"404\"}"),
        None
    );
}
