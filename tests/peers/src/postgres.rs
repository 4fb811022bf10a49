//! cqrs-es with its `PostgreSQL` store, postgres-es.

use std::sync::Arc;

use cqrs_es::{
    CqrsFramework,
    persist::{GenericQuery, QueryReplay},
};
use postgres_es::{PostgresEventRepository, PostgresViewRepository, default_postgress_pool};
use sqlx::{Pool, Postgres};

use crate::{
    bank::{Bank, Error},
    cqrs::{Balance, Cqrs, CqrsAccount, Shape, queries, store},
};

/// The tables that its documentation names, under names of a place.
const TABLES: &str = "
CREATE TABLE {place}_events (
    aggregate_type text                         NOT NULL,
    aggregate_id   text                         NOT NULL,
    sequence       bigint CHECK (sequence >= 0) NOT NULL,
    event_type     text                         NOT NULL,
    event_version  text                         NOT NULL,
    payload        json                         NOT NULL,
    metadata       json                         NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);
CREATE TABLE {place}_snapshots (
    aggregate_type   text                                 NOT NULL,
    aggregate_id     text                                 NOT NULL,
    last_sequence    bigint CHECK (last_sequence >= 0)    NOT NULL,
    current_snapshot bigint CHECK (current_snapshot >= 0) NOT NULL,
    payload          json                                 NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, last_sequence)
);
CREATE TABLE {place}_views (
    view_id text                        NOT NULL,
    version bigint CHECK (version >= 0) NOT NULL,
    payload json                        NOT NULL,
    PRIMARY KEY (view_id)
);
";

/// Makes the tables of this place.
pub(crate) async fn create(url: &str, place: &str) -> Result<(), Error> {
    let pool = default_postgress_pool(url).await;
    sqlx::raw_sql(&TABLES.replace("{place}", place)).execute(&pool).await?;
    pool.close().await;
    Ok(())
}

/// A process of that bank, with the pool that the documentation shows.
pub(crate) async fn bank(url: &str, place: &str, shape: Shape) -> Arc<dyn Bank> {
    let pool = default_postgress_pool(url).await;
    let view = GenericQuery::new(Arc::new(views(&pool, place)));
    Arc::new(Cqrs {
        framework: CqrsFramework::new(store(repository(&pool, place), shape), queries(shape, view), ()),
        store: store(repository(&pool, place), shape),
        views: views(&pool, place),
    })
}

/// Makes an account's view anew, as somebody would by hand: a replay of its events into the views of an empty place.
pub(crate) async fn replay(url: &str, account: &str, from: &str, to: &str) -> Result<(), Error> {
    let pool = default_postgress_pool(url).await;
    let view = GenericQuery::new(Arc::new(views(&pool, to)));
    let replay = QueryReplay::<_, _, CqrsAccount>::new(repository(&pool, from), view);
    replay.replay(account).await.map_err(|error| error.to_string().into())
}

fn repository(pool: &Pool<Postgres>, place: &str) -> PostgresEventRepository {
    let (events, snapshots) = (format!("{place}_events"), format!("{place}_snapshots"));
    PostgresEventRepository::new(pool.clone()).with_tables(&events, &snapshots)
}

fn views(pool: &Pool<Postgres>, place: &str) -> PostgresViewRepository<Balance, CqrsAccount> {
    PostgresViewRepository::new(&format!("{place}_views"), pool.clone())
}
