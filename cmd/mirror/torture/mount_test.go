//go:build torture

package torture_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// fileSystem is what a disk is formatted and mounted with. The options take away what a file system does for programs that
// forget to sync.
type fileSystem struct {
	name    string
	mkfs    []string
	options string
	sector  int // a power cut tears writes between sectors of this size
}

var fileSystems = []fileSystem{
	{"ext4", []string{"mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"}, "noauto_da_alloc", 512},
	{"ext4 with data=writeback", []string{"mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"}, "noauto_da_alloc,data=writeback", 512},
	// The recovery of XFS skips a block of metadata that has a newer header, so a block must not be torn.
	{"xfs", []string{"mkfs.xfs", "-q", "-K"}, "nouuid", blockSize},
}

// needDevices fails the test if this machine cannot mount a disk of a test. NBD, ublk and dm-log-writes are missing in many
// kernels; FUSE and loop devices are in all that Debian has, and in those of most containers that may mount.
func needDevices(t *testing.T) {
	t.Helper()
	const hint = "Power cuts need root, FUSE and loop devices: run this on a machine, in a virtual machine, or in a container with --privileged."
	if os.Geteuid() != 0 {
		t.Fatalf("not root. %s", hint)
	}
	for _, device := range []string{"/dev/fuse", "/dev/loop-control"} {
		file, err := os.OpenFile(device, os.O_RDWR, 0)
		if err != nil {
			t.Fatalf("%v. %s", err, hint)
		}
		file.Close()
	}
	for _, program := range []string{"mount", "mkfs.ext4", "mkfs.xfs"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: install the Debian packages mount, e2fsprogs and xfsprogs.", program)
		}
	}
}

type folder struct {
	fs.Inode
	disk *disk
}

// OnAdd adds the file of the disk.
func (f *folder) OnAdd(ctx context.Context) {
	f.AddChild("disk", f.NewPersistentInode(ctx, f.disk, fs.StableAttr{Mode: syscall.S_IFREG}), true)
}

// attach makes a file of contents, and returns its disk, its path, and what detaches it.
func attach(t *testing.T, contents blocks) (d *disk, path string, detach func()) {
	t.Helper()
	dir := t.TempDir()
	d = &disk{contents: contents}
	ever := time.Hour
	server, err := fs.Mount(dir, &folder{disk: d}, &fs.Options{
		AttrTimeout: &ever, EntryTimeout: &ever,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, MaxWrite: 512 << 10, FsName: "torture"},
	})
	must(t, err)
	return d, filepath.Join(dir, "disk"), func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("the disk is in use: %v", err)
		}
	}
}

// format returns the contents of a disk with an empty file system.
func (f fileSystem) format(t *testing.T) blocks {
	t.Helper()
	d, path, detach := attach(t, blocks{})
	defer detach()
	run(t, append(f.mkfs, path)...)
	return d.contents
}

// mount mounts contents, from where on writes are logged, and returns the folder. unmount may be called twice.
func (f fileSystem) mount(t *testing.T, contents blocks) (d *disk, dir string, unmount func(), err error) {
	t.Helper()
	d, path, detach := attach(t, maps.Clone(contents))
	d.base = contents
	dir = t.TempDir()
	// The loop device ends with the mount.
	out, err := exec.Command("mount", "-o", "loop,"+f.options, path, dir).CombinedOutput()
	if err != nil {
		detach()
		return nil, "", func() {}, &commandError{"mount", err, out}
	}
	mounted := true
	unmount = func() {
		if mounted {
			mounted = false
			run(t, "umount", dir)
			waitDetached(t, path)
			detach()
		}
	}
	t.Cleanup(unmount)
	return d, dir, unmount, nil
}

// waitDetached waits until the kernel has closed the file below a loop device, which it does some time after the unmount.
func waitDetached(t *testing.T, path string) {
	t.Helper()
	until(t, "the loop device ends", func() bool {
		out, err := exec.Command("losetup", "--noheadings", "--associated", path).Output()
		return err == nil && len(out) == 0
	})
}
