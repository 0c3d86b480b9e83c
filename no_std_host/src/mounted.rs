//! The file system, mounted for as long as the store is open.
//!
//! littlefs's `Filesystem` borrows the flash, so a structure with both in it would refer to itself. What may do that is a future: here
//! one owns the flash, mounts it, and carries out what comes in by a mailbox. It is polled once for each piece of work, and nothing
//! in it ever waits for anything else.

use alloc::{boxed::Box, rc::Rc};
use core::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use embedded_storage::nor_flash::NorFlash;
use littlefs2::{fs::Filesystem, io};

use crate::{
    disk::Disk,
    flash::{FlashFault, Region},
    store_error::{StoreError, Trouble},
    volume::Volume,
};

/// A flash whose file system is mounted.
pub(crate) struct Mounted<F: NorFlash + 'static, const BLOCKS: usize> {
    keeper: Pin<Box<dyn Future<Output = Infallible>>>,
    mailbox: Rc<Mailbox<F, BLOCKS>>,
}

/// Is done on the file system, or told why it is not there. Says whether littlefs reported an error, after which what it has in memory
/// may be something else than what is on the flash.
type Work<F, const BLOCKS: usize> =
    Box<dyn FnOnce(Result<&Disk<'_, '_, Region<F, BLOCKS>>, io::Error>) -> bool>;

struct Mailbox<F: NorFlash, const BLOCKS: usize> {
    work: RefCell<Option<Work<F, BLOCKS>>>,
    fault: Rc<Cell<Option<FlashFault>>>,
}

impl<F: NorFlash + 'static, const BLOCKS: usize> Mounted<F, BLOCKS> {
    /// Mounts it when there is something to do.
    pub(crate) fn new(volume: Volume<F, BLOCKS>) -> Self {
        let fault = volume.region.fault.clone();
        let mailbox = Rc::new(Mailbox { work: RefCell::new(None), fault });
        Self { keeper: Box::pin(keep(volume, mailbox.clone())), mailbox }
    }

    /// Does some work on the mounted file system.
    pub(crate) fn with<T: 'static>(
        &mut self,
        work: impl FnOnce(&Disk<'_, '_, Region<F, BLOCKS>>) -> Result<T, Trouble> + 'static,
    ) -> Result<T, StoreError> {
        let earlier = self.mailbox.fault.take();
        let done = Rc::new(RefCell::new(None));
        let slot = done.clone();
        let work: Work<F, BLOCKS> = Box::new(move |disk| {
            let result = disk.map_err(Trouble::Disk).and_then(work);
            let is_doubtful = matches!(result, Err(Trouble::Disk(_)));
            slot.replace(Some(result));
            is_doubtful
        });
        self.mailbox.work.replace(Some(work));
        let Poll::Pending = self.keeper.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let fault = self.mailbox.fault.get();
        self.mailbox.fault.set(fault.or(earlier));
        let result = done.take().unwrap_or(Err(Trouble::Disk(io::Error::IO)));
        result.map_err(|trouble| trouble.told(fault))
    }

    /// The last thing that the flash could not do.
    pub(crate) fn fault(&self) -> Option<FlashFault> {
        self.mailbox.fault.get()
    }
}

impl<F: NorFlash, const BLOCKS: usize> Mailbox<F, BLOCKS> {
    async fn next(&self) -> Work<F, BLOCKS> {
        poll_fn(|_| self.work.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

/// Pieces of work after which the file system is mounted anew.
///
/// littlefs 2.9 looks for free blocks in one lap around the flash, and a new lap begins only where a file's blocks are written or a
/// folder is made. Heads and additions are neither: after one lap, folders' logs would stay where they are for ever, and wear
/// two blocks out; and new ones would find no room. Mounting begins a lap, and reads no more than a change does.
const LAP: u32 = 16;

/// Carries out what comes in.
async fn keep<F: NorFlash, const BLOCKS: usize>(
    volume: Volume<F, BLOCKS>,
    mailbox: Rc<Mailbox<F, BLOCKS>>,
) -> Infallible {
    let Volume { mut region, mut allocation } = volume;
    let mut work = mailbox.next().await;
    loop {
        match Filesystem::mount(&mut allocation, &mut region) {
            Ok(fs) => {
                let disk = Disk::new(&fs);
                let mut done = 1;
                while !work(Ok(&disk)) && done < LAP {
                    work = mailbox.next().await;
                    done += 1;
                }
            }
            Err(error) => {
                work(Err(error));
            }
        }
        work = mailbox.next().await;
    }
}
