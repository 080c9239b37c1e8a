package cachetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var storeUploadTests = []storeCase{
	{"Chunks", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.ok(err)
		id := u.ID()
		s.ok(u.Close())
		for _, chunk := range []string{"a ", "blo", "b"} {
			u, err = s.Upload(s.ctx, repoA, id)
			s.ok(err)
			before := u.Size()
			n, err := u.Append(strings.NewReader(chunk))
			if err != nil || n != int64(len(chunk)) || u.Size() != before+n || u.ID() != id {
				s.t.Errorf("append %q to %d bytes: %d, %v; size is %d", chunk, before, n, err, u.Size())
			}
			s.ok(u.Close())
			s.ok(u.Close())
		}
		u, err = s.Upload(s.ctx, repoA, id)
		s.ok(err)
		s.readable(repoA, "a blob", false)
		s.ok(u.Commit(s.ctx, digest.FromString("a blob")))
		s.ok(u.Close()) // which does nothing any more
		s.readable(repoA, "a blob", true)
		s.readable(repoB, "a blob", false)
		_, err = s.Upload(s.ctx, repoA, id)
		s.code(err, mirror.CodeBlobUploadUnknown)
	}},
	{"OtherAlgorithm", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.ok(err)
		_, err = u.Append(strings.NewReader("a blob"))
		s.ok(err)
		d := digest.SHA512.FromString("a blob")
		s.ok(u.Commit(s.ctx, d))
		s.stat(repoA, d, mirror.BlobStat{Stored: true, Linked: true, Size: 6})
	}},
	{"Wrong", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.ok(err)
		_, err = u.Append(strings.NewReader("wrong"))
		s.ok(err)
		s.code(u.Commit(s.ctx, digest.FromString("right")), mirror.CodeDigestInvalid)
		s.ok(u.Close())
		_, err = s.Upload(s.ctx, repoA, u.ID())
		s.code(err, mirror.CodeBlobUploadUnknown)
		s.readable(repoA, "right", false)
		s.readable(repoA, "wrong", false)
	}},
	{"Cancelled", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.ok(err)
		_, err = u.Append(strings.NewReader("a blob"))
		s.ok(err)
		s.ok(u.Cancel())
		s.ok(u.Close())
		_, err = s.Upload(s.ctx, repoA, u.ID())
		s.code(err, mirror.CodeBlobUploadUnknown)
	}},
	{"BrokenOff", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.ok(err)
		broken := errors.New("connection broken")
		n, err := u.Append(io.MultiReader(strings.NewReader("a bl"), iotest.ErrReader(broken)))
		if n != 4 || !errors.Is(err, broken) {
			s.t.Errorf("append returned %d, %v", n, err)
		}
		s.ok(u.Close())
		u, err = s.Upload(s.ctx, repoA, u.ID())
		s.ok(err)
		if u.Size() != 4 {
			s.t.Errorf("%d bytes were kept, want 4", u.Size())
		}
		_, err = u.Append(strings.NewReader("ob"))
		s.ok(err)
		s.ok(u.Commit(s.ctx, digest.FromString("a blob")))
		s.readable(repoA, "a blob", true)
	}},
	{"OfAnotherRepository", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.ok(err)
		_, err = u.Append(strings.NewReader("a blob"))
		s.ok(err)
		s.ok(u.Close())
		for _, id := range []string{u.ID(), "never-seen", "../blobs"} {
			_, err = s.Upload(s.ctx, repoB, id)
			s.code(err, mirror.CodeBlobUploadUnknown)
		}
		u, err = s.Upload(s.ctx, repoA, u.ID()) // it is not harmed
		s.ok(err)
		s.ok(u.Commit(s.ctx, digest.FromString("a blob")))
	}},
	{"OneAtATime", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.ok(err)
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err = s.Upload(ctx, repoA, u.ID())
		s.code(err, mirror.CodeUploadBusy)
		s.ok(u.Close())

		const workers = 16
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				u, err := s.Upload(s.ctx, repoA, u.ID())
				if err != nil {
					s.t.Error(err)
					return
				}
				before := u.Size()
				if _, err := u.Append(strings.NewReader("0123456789")); err != nil {
					s.t.Error(err)
				}
				if u.Size() != before+10 {
					s.t.Errorf("somebody else appended too: %d bytes after %d", u.Size(), before)
				}
				if err := u.Close(); err != nil {
					s.t.Error(err)
				}
			})
		}
		all.Wait()
		u, err = s.Upload(s.ctx, repoA, u.ID())
		s.ok(err)
		s.ok(u.Commit(s.ctx, digest.FromString(strings.Repeat("0123456789", workers))))
	}},
}
