package cachetest

import (
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var storeBlobTests = []storeCase{
	{"Receive", func(s *storeTest) {
		const blob = "a blob"
		s.readable(repoA, blob, false)
		s.stat(repoA, digest.FromString(blob), mirror.BlobStat{})
		d := s.receive(repoA, blob)
		s.readable(repoA, blob, true)
		s.readable(repoB, blob, false)
		s.readable(repoA2, blob, false)
		s.stat(repoA, d, mirror.BlobStat{Stored: true, Linked: true, Size: 6})
		s.stat(repoB, d, mirror.BlobStat{Stored: true, Size: 6, Confirmable: true})
		s.stat(foreign, d, mirror.BlobStat{Stored: true, Size: 6})
		s.receive(repoB, blob)
		s.receive(repoB, blob)
		s.readable(repoB, blob, true)
	}},
	{"ReceiveEmpty", func(s *storeTest) {
		s.receive(repoA, "")
		s.readable(repoA, "", true)
	}},
	{"ReceiveSHA512", func(s *storeTest) {
		d := digest.SHA512.FromString("a blob")
		in, err := s.Receive(s.ctx, d)
		s.ok(err)
		_, err = io.WriteString(in, "a blob")
		s.ok(err)
		s.ok(in.Commit(s.ctx, repoA))
		s.stat(repoA, d, mirror.BlobStat{Stored: true, Linked: true, Size: 6})
	}},
	{"ReceiveWrong", func(s *storeTest) {
		d := digest.FromString("right")
		in, err := s.Receive(s.ctx, d)
		s.ok(err)
		_, err = io.WriteString(in, "wrong")
		s.ok(err)
		s.code(in.Verify(), mirror.CodeDigestInvalid)
		s.code(in.Commit(s.ctx, repoA), mirror.CodeDigestInvalid)
		s.ok(in.Abort())
		s.readable(repoA, "right", false)
		s.readable(repoA, "wrong", false)
		s.stat(repoA, d, mirror.BlobStat{})
		_, err = s.Receive(s.ctx, "sha256:nonsense")
		s.code(err, mirror.CodeDigestInvalid)
	}},
	{"ReceiveAborted", func(s *storeTest) {
		in, err := s.Receive(s.ctx, digest.FromString("a blob"))
		s.ok(err)
		_, err = io.WriteString(in, "a blob")
		s.ok(err)
		s.ok(in.Verify())
		s.ok(in.Abort())
		s.readable(repoA, "a blob", false)
	}},
	{"Tail", func(s *storeTest) {
		in, err := s.Receive(s.ctx, digest.FromString("a blob"))
		s.ok(err)
		tail, err := in.Tail()
		s.ok(err)
		defer tail.Close()
		buffer := make([]byte, 2)
		for i, part := range []string{"a ", "bl", "ob"} {
			_, err = io.WriteString(in, part)
			s.ok(err)
			if n, err := tail.ReadAt(buffer, int64(2*i)); n != 2 || string(buffer) != part {
				s.t.Errorf("tail reads %q, %v; want %q", buffer[:n], err, part)
			}
		}
		s.ok(in.Commit(s.ctx, repoA))
		s.ok(in.Abort()) // which does nothing any more
		if n, err := tail.ReadAt(buffer, 2); n != 2 || string(buffer) != "bl" {
			s.t.Errorf("tail reads %q after Commit, %v", buffer[:n], err)
		}
		s.readable(repoA, "a blob", true)
	}},
	{"Mount", func(s *storeTest) {
		d := s.push(repoA, "a blob")
		_, err := s.Mount(s.ctx, repoA2, repoB, d)
		s.code(err, mirror.CodeBlobUnknown) // held, but not there
		s.readable(repoA2, "a blob", false)
		for range 2 {
			size, err := s.Mount(s.ctx, repoB, repoA, d)
			if err != nil || size != 6 {
				s.t.Errorf("mount: size %d, %v", size, err)
			}
		}
		s.readable(repoB, "a blob", true)
		_, err = s.Mount(s.ctx, repoB, repoA, digest.FromString("never seen"))
		s.code(err, mirror.CodeBlobUnknown)
	}},
	{"MountFromAnywhere", func(s *storeTest) {
		d := s.push(repoA, "a blob")
		size, err := s.Mount(s.ctx, repoB, mirror.Repo{}, d)
		if err != nil || size != 6 {
			s.t.Errorf("mount: size %d, %v", size, err)
		}
		s.readable(repoB, "a blob", true)
		s.ok(s.Unlink(s.ctx, repoA, d))
		s.ok(s.Unlink(s.ctx, repoB, d))
		_, err = s.Mount(s.ctx, repoB, mirror.Repo{}, d)
		s.code(err, mirror.CodeBlobUnknown) // the bytes may be here, nobody may read them
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"})
		_, err = s.Mount(s.ctx, repoB, mirror.Repo{}, m.Digest)
		s.code(err, mirror.CodeBlobUnknown) // a manifest is no blob
	}},
	{"MountAwaited", func(s *storeTest) {
		m := image{config: "{}", layers: []string{"layer"}}.manifest(mirror.Mirrored)
		s.ok(s.PutManifest(s.ctx, repoA, m))
		for _, from := range []mirror.Repo{repoA, {}} {
			_, err := s.Mount(s.ctx, repoB, from, digest.FromString("layer"))
			s.code(err, mirror.CodeBlobUnknown) // linked, but not here
		}
	}},
	{"Unlink", func(s *storeTest) {
		d := s.push(repoA, "a blob")
		s.push(repoB, "a blob")
		s.code(s.Unlink(s.ctx, repoA2, d), mirror.CodeBlobUnknown)
		s.ok(s.Unlink(s.ctx, repoA, d))
		s.readable(repoA, "a blob", false)
		s.readable(repoB, "a blob", true)
		s.code(s.Unlink(s.ctx, repoA, d), mirror.CodeBlobUnknown)
		s.push(repoA, "a blob")
		s.readable(repoA, "a blob", true)
	}},
	{"UnlinkUsed", func(s *storeTest) {
		first := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"layer"}})
		second := s.pushImage(repoA, mirror.Pushed, image{config: "{ }", layers: []string{"layer"}})
		d := s.push(repoB, "layer")
		for _, m := range []mirror.Manifest{first, second} {
			err := s.Unlink(s.ctx, repoA, d)
			s.code(err, mirror.CodeUnsupported)
			if !strings.Contains(err.Error(), "manifest sha256:") {
				s.t.Errorf("error does not name the manifest: %v", err)
			}
			s.readable(repoA, "layer", true)
			s.ok(s.DeleteManifest(s.ctx, repoA, m.Digest))
		}
		s.ok(s.Unlink(s.ctx, repoA, d))
		s.readable(repoA, "layer", false)
		s.readable(repoB, "layer", true)
	}},
	{"ManifestAsBlob", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"})
		s.push(repoA, string(m.Bytes))
		s.readable(repoA, string(m.Bytes), true)
		s.stat(repoA, m.Digest, mirror.BlobStat{Stored: true, Linked: true, Size: int64(len(m.Bytes))})
		s.ok(s.Unlink(s.ctx, repoA, m.Digest)) // nothing points at it
		s.readable(repoA, string(m.Bytes), false)
		s.holds(repoA, m)
	}},
}
