//! The description of the API, in OpenAPI 3.1: it is made of the routes themselves, so that none is missing.

use axum::{body::Bytes, http::header, response::IntoResponse};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Description,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, extensions, feed, history, jobs, states, steer};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Toehold",
        description = "Jobs of WebAssembly extensions, and the extensions, of one data folder.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "jobs", description = "Jobs"),
        (name = "events", description = "What happens to all jobs"),
        (name = "extensions", description = "Extensions"),
        (name = "server", description = "The server"),
    ),
    modifiers(&Bearer),
    // The second is for servers on this machine, which may have no token.
    security(("token" = []), ())
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut Description) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The server's token, where it has one"))
            .build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// All routes of version 1, and what there is to say of them.
pub(super) fn v1() -> OpenApiRouter<Api> {
    let job = OpenApiRouter::new()
        .routes(routes!(jobs::show, jobs::remove))
        .routes(routes!(steer::pause))
        .routes(routes!(steer::resume))
        .routes(routes!(steer::cancel))
        .routes(routes!(steer::wait))
        .routes(routes!(history::events))
        .routes(routes!(history::logs))
        .routes(routes!(states::newest))
        .routes(routes!(states::first))
        .routes(routes!(jobs::export));
    let jobs = OpenApiRouter::new()
        .routes(routes!(jobs::list, jobs::dispatch))
        .routes(routes!(jobs::import))
        .nest("/{id}", job);
    let extension = OpenApiRouter::new()
        .routes(routes!(extensions::show, extensions::remove))
        .routes(routes!(extensions::reload));
    let extensions = OpenApiRouter::new()
        .routes(routes!(extensions::list, extensions::add))
        .routes(routes!(extensions::inspect))
        .nest("/{id}", extension);
    let v1 = OpenApiRouter::new()
        .routes(routes!(super::health))
        .nest("/events", OpenApiRouter::new().routes(routes!(feed::all)))
        .nest("/jobs", jobs)
        .nest("/extensions", extensions);
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", v1)
}

/// The description as JSON.
pub(super) fn json(description: &Description) -> Vec<u8> {
    // It has no keys but texts, so that it can always be written.
    serde_json::to_vec(description).unwrap_or_default()
}

pub(super) fn answer(description: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], description)
}
