//! cqrs-es with its `DynamoDB` store, dynamo-es.

use std::sync::Arc;

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use cqrs_es::{
    CqrsFramework,
    persist::{GenericQuery, QueryReplay},
};
use dynamo_es::{DynamoEventRepository, DynamoViewRepository};

use crate::{
    bank::{Bank, Error},
    cqrs::{Balance, Cqrs, CqrsAccount, Shape, queries, store},
};

/// The client with its defaults.
fn client(endpoint: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "peers"))
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

/// Makes the tables that its documentation names, under names of this place.
pub(crate) async fn create(endpoint: &str, place: &str) -> Result<(), Error> {
    use ScalarAttributeType::{N, S};
    let client = client(endpoint);
    table(&client, &events(place), &[("AggregateTypeAndId", S), ("AggregateIdSequence", N)]).await?;
    table(&client, &snapshots(place), &[("AggregateTypeAndId", S)]).await?;
    table(&client, &view_table(place), &[("ViewId", S)]).await
}

async fn table(client: &Client, name: &str, keys: &[(&str, ScalarAttributeType)]) -> Result<(), Error> {
    let mut call = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for ((name, kind), key) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let attribute = AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone());
        let key = KeySchemaElement::builder().attribute_name(*name).key_type(key);
        call = call.attribute_definitions(attribute.build()?).key_schema(key.build()?);
    }
    call.send().await?;
    Ok(())
}

/// A process of that bank.
pub(crate) fn bank(endpoint: &str, place: &str, shape: Shape) -> Arc<dyn Bank> {
    let client = client(endpoint);
    let view = GenericQuery::new(Arc::new(views(&client, place)));
    Arc::new(Cqrs {
        framework: CqrsFramework::new(store(repository(&client, place), shape), queries(shape, view), ()),
        store: store(repository(&client, place), shape),
        views: views(&client, place),
    })
}

/// Makes an account's view anew, as somebody would by hand: a replay of its events into the views of an empty place.
pub(crate) async fn replay(endpoint: &str, account: &str, from: &str, to: &str) -> Result<(), Error> {
    let client = client(endpoint);
    let view = GenericQuery::new(Arc::new(views(&client, to)));
    let replay = QueryReplay::<_, _, CqrsAccount>::new(repository(&client, from), view);
    replay.replay(account).await.map_err(|error| error.to_string().into())
}

fn repository(client: &Client, place: &str) -> DynamoEventRepository {
    DynamoEventRepository::new(client.clone()).with_tables(&events(place), &snapshots(place))
}

fn views(client: &Client, place: &str) -> DynamoViewRepository<Balance, CqrsAccount> {
    DynamoViewRepository::new(&view_table(place), client.clone())
}

fn events(place: &str) -> String {
    format!("{place}_events")
}

fn snapshots(place: &str) -> String {
    format!("{place}_snapshots")
}

fn view_table(place: &str) -> String {
    format!("{place}_views")
}
