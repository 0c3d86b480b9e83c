//! What the core does with guests: each test has its own small module, in WebAssembly text.

mod attacks;
mod documents;
mod faults;
mod formats;
mod guests;
mod host_functions;
mod hostile;
mod interrupts;
mod limits;
mod load;
mod observe;
mod page_size;
mod recovery;
mod scheduler;
mod slices;
mod small_guests;
mod upgrade;
mod world;
