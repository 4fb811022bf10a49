//! The service `users`: register under a name that nobody else has, rename, leave; and whether a name is free.
//!
//! A name is one whatever its case. Whoever loses the race for it is told 409, `/problems/taken`. A name that a crash left
//! claimed frees itself when somebody wants it, half a minute later at most; until then the answer is 503, try again.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use bank::{User, UserCommand, UserId, UserStatus, Username};
use serde::{Deserialize, Serialize};
use service::{CommandHeaders, CommandParameters, Json, KnownTagParameter, KnownVersion, Problem};
use utoipa::{OpenApi, ToSchema};

use crate::{
    answer::{self, Shown, Standing},
    bank::{Bank, NamePath, Named},
};

/// The service over a bank.
pub fn app(bank: Bank) -> Router {
    let router = Router::new()
        .route("/users", post(register))
        .route("/users/{id}", get(read))
        .route("/users/{id}/rename", post(rename))
        .route("/users/{id}/close", post(close))
        .route("/usernames/{id}", get(look_up))
        .with_state(bank);
    service::app(router, Document::openapi())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "users", description = "Registers users, each under a name that is nobody else's"),
    paths(register, read, rename, close, look_up)
)]
struct Document;

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "9", "username": "ann"}))]
struct RegisterUser {
    /// 1 to 64 ASCII letters, digits, dashes and underscores. If not given, it follows from the `Idempotency-Key`, so that
    /// a retry registers the same user; without a key it is a fresh one.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    id: Option<UserId>,
    /// 3 to 30 ASCII letters, digits, dashes, dots and underscores, a letter first; unique whatever its case.
    #[schema(value_type = String, min_length = 3, max_length = 30, pattern = "^[A-Za-z][A-Za-z0-9._-]*$")]
    username: Username,
}

/// Another name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "bob"}))]
struct RenameUser {
    /// As at the registration.
    #[schema(value_type = String, min_length = 3, max_length = 30, pattern = "^[A-Za-z][A-Za-z0-9._-]*$")]
    username: Username,
}

/// A user at a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "9", "username": "ann", "status": "registered", "version": 1, "publication": "published", "repeat": false,
}))]
pub struct UserAnswer {
    /// The user.
    id: String,
    /// Their name; the last one, if they have left.
    username: String,
    /// `registered` or `closed`.
    #[schema(value_type = String, example = "registered")]
    status: UserStatus,
    #[serde(flatten)]
    standing: Standing,
}

/// Whether a name can be had.
#[derive(Debug, Serialize, ToSchema)]
struct UsernameAnswer {
    /// The name as it was asked for.
    #[schema(example = "ann")]
    username: String,
    /// `free` or `taken`, as of now: only the registration decides.
    #[schema(example = "taken")]
    status: &'static str,
}

impl Shown for User {
    const PATH: &'static str = "/users";
    type Answer = UserAnswer;

    fn answer(&self, id: &str, standing: Standing) -> Result<UserAnswer, Problem> {
        Ok(UserAnswer {
            id: id.to_owned(),
            username: self.username().map(Username::to_string).unwrap_or_default(),
            status: self.status(),
            standing,
        })
    }
}

/// Registers a user.
#[utoipa::path(
    post,
    path = "/users",
    params(CommandParameters),
    request_body = RegisterUser,
    responses(
        (status = 201, body = UserAnswer, headers(("Location"), ("ETag"), ("Session-Token"))),
        (status = 409, description = "the name is taken, or the user registered before"),
    )
)]
async fn register(
    State(bank): State<Bank>,
    mut headers: CommandHeaders,
    Json(RegisterUser { id, username }): Json<RegisterUser>,
) -> Result<Response, Problem> {
    let id: UserId = bank.named(id, &mut headers)?;
    let done = bank.execute::<User>(&id, UserCommand::Register { username }, headers).await?;
    answer::begun(&id, done)
}

/// Shows a user as they are now, every answered command included.
#[utoipa::path(
    get,
    path = "/users/{id}",
    params(
        NamePath,
        KnownTagParameter,
    ),
    responses(
        (status = 200, body = UserAnswer, headers(("ETag"), ("Session-Token"))),
        (status = 304, description = "the caller has the newest version"),
        (status = 404, description = "there is no such user"),
    )
)]
async fn read(
    State(bank): State<Bank>,
    Named(id): Named<UserId>,
    known: KnownVersion,
) -> Result<Response, Problem> {
    answer::loaded::<User>(&id, &bank.load(&id).await?, known)
}

/// Gives a user another name.
#[utoipa::path(
    post,
    path = "/users/{id}/rename",
    params(NamePath, CommandParameters),
    request_body = RenameUser,
    responses(
        (status = 200, body = UserAnswer, headers(("ETag"), ("Session-Token"))),
        (status = 404, description = "there is no such user"),
        (status = 409, description = "the name is taken"),
    )
)]
async fn rename(
    State(bank): State<Bank>,
    Named(id): Named<UserId>,
    headers: CommandHeaders,
    Json(RenameUser { username }): Json<RenameUser>,
) -> Result<Response, Problem> {
    let done = bank.execute::<User>(&id, UserCommand::Rename { username }, headers).await?;
    answer::executed(&id, done)
}

/// Lets a user leave, for ever; their name is free again.
#[utoipa::path(
    post,
    path = "/users/{id}/close",
    params(NamePath, CommandParameters),
    responses(
        (status = 200, body = UserAnswer, headers(("ETag"), ("Session-Token"))),
        (status = 404, description = "there is no such user"),
        (status = 422, description = "they have left before"),
    )
)]
async fn close(
    State(bank): State<Bank>,
    Named(id): Named<UserId>,
    headers: CommandHeaders,
) -> Result<Response, Problem> {
    answer::executed(&id, bank.execute::<User>(&id, UserCommand::Close, headers).await?)
}

/// Tells whether a name is free.
#[utoipa::path(
    get,
    path = "/usernames/{id}",
    params(("id" = String, Path, description = "the name", pattern = "^[A-Za-z][A-Za-z0-9._-]*$", min_length = 3, max_length = 30, example = "ann")),
    responses(
        (status = 200, body = UsernameAnswer),
        (status = 400, description = "nobody can have such a name"),
    )
)]
async fn look_up(
    State(bank): State<Bank>,
    Named(username): Named<Username>,
) -> Result<Json<UsernameAnswer>, Problem> {
    let holder = bank.store().holder::<User>(&User::claim(&username)).await?;
    let status = if holder.is_some() { "taken" } else { "free" };
    Ok(Json(UsernameAnswer { username: username.to_string(), status }))
}

#[cfg(test)]
mod tests;
