use std::sync::Arc;

use lentil_store::Catalog;
use parking_lot::RwLock;

/// The catalog that the file has, shared by everything that reads or changes it.
pub(crate) struct CurrentCatalog(RwLock<Arc<Catalog>>);

impl CurrentCatalog {
    pub(crate) fn new(catalog: Catalog) -> CurrentCatalog {
        CurrentCatalog(RwLock::new(Arc::new(catalog)))
    }

    pub(crate) fn get(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.read())
    }

    /// Replaces the catalog. The new one must be durable.
    pub(crate) fn set(&self, catalog: Arc<Catalog>) {
        *self.0.write() = catalog;
    }
}
