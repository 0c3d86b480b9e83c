//! How modules are loaded: validated, or as they are where the firmware takes only what its maker has signed.

use toehold::{Compile, Extension, Limits, LoadError, Manifest};

/// Loads a module that is part of this firmware.
pub(crate) fn load_own(manifest: Manifest, module: &[u8], limits: &Limits) -> Result<Extension, LoadError> {
    #[cfg(feature = "validate")]
    return Extension::load(manifest, module, limits);
    #[cfg(not(feature = "validate"))]
    return Extension::load_unvalidated(manifest, module, limits, unchecked);
}

#[cfg(feature = "validate")]
pub(crate) fn compile() -> Option<Compile> {
    None
}

#[cfg(not(feature = "validate"))]
pub(crate) fn compile() -> Option<Compile> {
    Some(unchecked)
}

#[cfg(not(feature = "validate"))]
fn unchecked(engine: &wasmi::Engine, module: &[u8]) -> Result<wasmi::Module, wasmi::Error> {
    // SAFETY: none that this code could give. It gets a module that is part of the firmware, and those of packages with the
    // signature of a trusted key: the shell does not start where it trusts everybody. Whoever signs vouches that a module is
    // valid.
    unsafe { wasmi::Module::new_unchecked(engine, module) }
}
