/// A filter of a query: keeps the documents for which it returns `true`.
pub(crate) type Filter<'f, D> = Box<dyn Fn(&D) -> bool + Send + Sync + 'f>;

/// Returns whether a document passes all filters.
pub(crate) fn passes<D>(filters: &[Filter<'_, D>], document: &D) -> bool {
    filters.iter().all(|keep| keep(document))
}
