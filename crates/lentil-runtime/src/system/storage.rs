use lentil_values::{FieldName, FieldValidator, Object, Uuid, Value, v};

use super::SystemTable;
use super::function::mutation;
use crate::Function;
use crate::storage::delete_file;

pub(crate) const TABLE: &str = "_storage";
pub(crate) const BY_SHA256: &str = "by_sha256";
pub(crate) const BY_URL_ID: &str = "by_urlId";

pub(crate) const INSERT: &str = "_system/storage:insert";
pub(crate) const DELETE: &str = "_system/storage:delete";

pub(super) fn functions() -> Vec<Function> {
    let args: [(&str, FieldValidator); 3] = [
        ("sha256", v::string().into()),
        ("size", v::number().into()),
        ("contentType", v::any().into()),
    ];
    vec![
        mutation(INSERT, args, |ctx, mut args| {
            Box::pin(async move {
                let mut take = |name: &str| args.remove(name).unwrap_or(Value::Null);
                let (sha256, size, content_type) =
                    (take("sha256"), take("size"), take("contentType"));
                let transaction = &mut *ctx.db.transaction()?;
                // The URL is unguessable, and says nothing of the document's id.
                let next = || u128::from(transaction.env().seeds.next_u64());
                let url_id = Uuid::from_random_bits(next() << 64 | next());
                let fields = [
                    ("sha256", sha256),
                    ("size", size),
                    ("contentType", content_type),
                    ("urlId", Value::from(url_id.to_string())),
                ];
                let id = SystemTable::open(transaction, TABLE).insert(fields)?;
                Ok(Value::from(id.to_string()))
            })
        }),
        mutation(DELETE, [("id", v::string().into())], |ctx, args| {
            Box::pin(async move {
                let id = args.get("id").and_then(Value::as_str).unwrap_or_default();
                delete_file(&mut *ctx.db.transaction()?, id.parse()?).await?;
                Ok(Value::Null)
            })
        }),
    ]
}

/// What a stored file's document is inserted from.
pub(crate) fn insert_args(sha256: &str, size: u64, content_type: Option<&str>) -> Object {
    let content_type = content_type.map_or(Value::Null, Value::from);
    [
        ("sha256", Value::from(sha256)),
        ("size", Value::Float64(size as f64)),
        ("contentType", content_type),
    ]
    .into_iter()
    .map(|(name, value)| (FieldName::from_static(name), value))
    .collect()
}
