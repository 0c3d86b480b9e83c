//! Waiting for an interrupt.

/// Has the processor sleep until this is over. `sleep` waits for an interrupt, also while interrupts are locked out.
pub fn sleep_until(mut is_over: impl FnMut() -> bool, mut sleep: impl FnMut()) {
    loop {
        let is_over = critical_section::with(|_| {
            let is_over = is_over();
            if !is_over {
                // An interrupt that comes now wakes the processor, and is served when the section ends: so none can come
                // between the question and the sleep.
                sleep();
            }
            is_over
        });
        if is_over {
            return;
        }
    }
}
