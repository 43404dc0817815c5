use proc_macro2::TokenStream;
use syn::{Data, DeriveInput, Result};

use crate::attributes::{misplaced, reject_generics};
use crate::misuse::{Derive, Misuse};
use crate::{object, union};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    reject_generics(input, Derive::ValueType)?;
    misplaced(
        &input.attrs,
        "rename",
        "above a field or a variant, not above the type",
    )?;
    match &input.data {
        Data::Struct(data) => object::expand(input, data),
        Data::Enum(data) => union::expand(input, data),
        Data::Union(_) => Err(Misuse::NoStructOrEnum.at(&input.ident)),
    }
}
