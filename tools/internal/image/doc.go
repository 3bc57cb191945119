// Package image makes what a guest boots from and lives on, beside its kernel:
//
//   - the initramfs: the agent as /init and a static busybox, as a
//     deterministic cpio archive (Initramfs);
//   - more cpio archives with the files of one case, which are put behind it
//     (WriteCPIO);
//   - disk images that hold Debian packages of the guest's architecture
//     (Disk). The packages are extracted, never configured: what little their
//     maintainer scripts would have done and a guest needs is done by us, so
//     that no instruction of the guest's architecture runs here and no root
//     privilege is needed.
//
// Everything made is an entry of the store, named by what it was made from,
// and shared by all guests: an image is only ever read.
package image
