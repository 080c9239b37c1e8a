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
		s.must(err)
		id := u.ID()
		s.must(u.Close())
		for _, chunk := range []string{"a ", "blo", "b"} {
			u, err = s.Upload(s.ctx, repoA, id)
			s.must(err)
			before := u.Size()
			n, err := u.Append(strings.NewReader(chunk))
			if err != nil || n != int64(len(chunk)) || u.Size() != before+n || u.ID() != id {
				s.t.Errorf("append %q to %d bytes: %d, %v; size is %d", chunk, before, n, err, u.Size())
			}
			s.must(u.Close())
			s.must(u.Close())
		}
		u, err = s.Upload(s.ctx, repoA, id)
		s.must(err)
		s.wantBlob(repoA, "a blob", false)
		s.must(u.Commit(s.ctx, digest.FromString("a blob")))
		s.must(u.Close()) // which does nothing after Commit
		s.wantBlob(repoA, "a blob", true)
		s.wantBlob(repoB, "a blob", false)
		_, err = s.Upload(s.ctx, repoA, id)
		s.wantCode(err, mirror.CodeBlobUploadUnknown)
	}},
	{"OtherAlgorithm", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.must(err)
		_, err = u.Append(strings.NewReader("a blob"))
		s.must(err)
		d := digest.SHA512.FromString("a blob")
		s.must(u.Commit(s.ctx, d))
		s.wantStat(repoA, d, mirror.BlobStat{Stored: true, Linked: true, Size: 6})
	}},
	{"WrongDigest", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.must(err)
		_, err = u.Append(strings.NewReader("wrong"))
		s.must(err)
		s.wantCode(u.Commit(s.ctx, digest.FromString("right")), mirror.CodeDigestInvalid)
		s.must(u.Close())
		_, err = s.Upload(s.ctx, repoA, u.ID())
		s.wantCode(err, mirror.CodeBlobUploadUnknown)
		s.wantBlob(repoA, "right", false)
		s.wantBlob(repoA, "wrong", false)
	}},
	{"Canceled", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.must(err)
		_, err = u.Append(strings.NewReader("a blob"))
		s.must(err)
		s.must(u.Cancel())
		s.must(u.Close())
		_, err = s.Upload(s.ctx, repoA, u.ID())
		s.wantCode(err, mirror.CodeBlobUploadUnknown)
	}},
	{"FailedAppend", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.must(err)
		broken := errors.New("connection broken")
		n, err := u.Append(io.MultiReader(strings.NewReader("a bl"), iotest.ErrReader(broken)))
		if n != 4 || !errors.Is(err, broken) {
			s.t.Errorf("append returned %d, %v", n, err)
		}
		s.must(u.Close())
		u, err = s.Upload(s.ctx, repoA, u.ID())
		s.must(err)
		if u.Size() != 4 {
			s.t.Errorf("size is %d, want 4", u.Size())
		}
		_, err = u.Append(strings.NewReader("ob"))
		s.must(err)
		s.must(u.Commit(s.ctx, digest.FromString("a blob")))
		s.wantBlob(repoA, "a blob", true)
	}},
	{"OfAnotherRepository", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.must(err)
		_, err = u.Append(strings.NewReader("a blob"))
		s.must(err)
		s.must(u.Close())
		for _, id := range []string{u.ID(), "never-seen", "../blobs"} {
			_, err = s.Upload(s.ctx, repoB, id)
			s.wantCode(err, mirror.CodeBlobUploadUnknown)
		}
		u, err = s.Upload(s.ctx, repoA, u.ID()) // it is unchanged
		s.must(err)
		s.must(u.Commit(s.ctx, digest.FromString("a blob")))
	}},
	{"OneAtATime", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.must(err)
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err = s.Upload(ctx, repoA, u.ID())
		s.wantCode(err, mirror.CodeUploadBusy)
		s.must(u.Close())

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
					s.t.Errorf("another writer appended: %d bytes after %d", u.Size(), before)
				}
				if err := u.Close(); err != nil {
					s.t.Error(err)
				}
			})
		}
		all.Wait()
		u, err = s.Upload(s.ctx, repoA, u.ID())
		s.must(err)
		s.must(u.Commit(s.ctx, digest.FromString(strings.Repeat("0123456789", workers))))
	}},
}
