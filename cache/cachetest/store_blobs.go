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
		s.wantBlob(repoA, blob, false)
		s.wantStat(repoA, digest.FromString(blob), mirror.BlobStat{})
		d := s.receive(repoA, blob)
		s.wantBlob(repoA, blob, true)
		s.wantBlob(repoB, blob, false)
		s.wantBlob(repoA2, blob, false)
		s.wantStat(repoA, d, mirror.BlobStat{Stored: true, Linked: true, Size: 6})
		s.wantStat(repoB, d, mirror.BlobStat{Stored: true, Size: 6, Confirmable: true})
		s.wantStat(repoOther, d, mirror.BlobStat{Stored: true, Size: 6})
		s.receive(repoB, blob)
		s.receive(repoB, blob)
		s.wantBlob(repoB, blob, true)
	}},
	{"ReceiveEmpty", func(s *storeTest) {
		s.receive(repoA, "")
		s.wantBlob(repoA, "", true)
	}},
	{"ReceiveSHA512", func(s *storeTest) {
		d := digest.SHA512.FromString("a blob")
		in, err := s.Receive(s.ctx, d)
		s.must(err)
		_, err = io.WriteString(in, "a blob")
		s.must(err)
		s.must(in.Commit(s.ctx, repoA))
		s.wantStat(repoA, d, mirror.BlobStat{Stored: true, Linked: true, Size: 6})
	}},
	{"ReceiveOfWrongDigest", func(s *storeTest) {
		d := digest.FromString("right")
		in, err := s.Receive(s.ctx, d)
		s.must(err)
		_, err = io.WriteString(in, "wrong")
		s.must(err)
		s.wantCode(in.Verify(), mirror.CodeDigestInvalid)
		s.wantCode(in.Commit(s.ctx, repoA), mirror.CodeDigestInvalid)
		s.must(in.Abort())
		s.wantBlob(repoA, "right", false)
		s.wantBlob(repoA, "wrong", false)
		s.wantStat(repoA, d, mirror.BlobStat{})
		_, err = s.Receive(s.ctx, "sha256:nonsense")
		s.wantCode(err, mirror.CodeDigestInvalid)
	}},
	{"ReceiveAborted", func(s *storeTest) {
		in, err := s.Receive(s.ctx, digest.FromString("a blob"))
		s.must(err)
		_, err = io.WriteString(in, "a blob")
		s.must(err)
		s.must(in.Verify())
		s.must(in.Abort())
		s.wantBlob(repoA, "a blob", false)
	}},
	{"Tail", func(s *storeTest) {
		in, err := s.Receive(s.ctx, digest.FromString("a blob"))
		s.must(err)
		tail, err := in.Tail()
		s.must(err)
		defer tail.Close()
		buffer := make([]byte, 2)
		for i, part := range []string{"a ", "bl", "ob"} {
			_, err = io.WriteString(in, part)
			s.must(err)
			if n, err := tail.ReadAt(buffer, int64(2*i)); n != 2 || string(buffer) != part {
				s.t.Errorf("tail reads %q, %v; want %q", buffer[:n], err, part)
			}
		}
		s.must(in.Commit(s.ctx, repoA))
		s.must(in.Abort()) // which does nothing after Commit
		if n, err := tail.ReadAt(buffer, 2); n != 2 || string(buffer) != "bl" {
			s.t.Errorf("tail reads %q, %v after Commit", buffer[:n], err)
		}
		s.wantBlob(repoA, "a blob", true)
	}},
	{"Mount", func(s *storeTest) {
		d := s.push(repoA, "a blob")
		_, err := s.Mount(s.ctx, repoA2, repoB, d)
		s.wantCode(err, mirror.CodeBlobUnknown) // stored, but not linked to repoB
		s.wantBlob(repoA2, "a blob", false)
		for range 2 {
			size, err := s.Mount(s.ctx, repoB, repoA, d)
			if err != nil || size != 6 {
				s.t.Errorf("mount: size %d, %v", size, err)
			}
		}
		s.wantBlob(repoB, "a blob", true)
		_, err = s.Mount(s.ctx, repoB, repoA, digest.FromString("never seen"))
		s.wantCode(err, mirror.CodeBlobUnknown)
	}},
	{"MountFromAnyRepository", func(s *storeTest) {
		d := s.push(repoA, "a blob")
		size, err := s.Mount(s.ctx, repoB, mirror.Repo{}, d)
		if err != nil || size != 6 {
			s.t.Errorf("mount: size %d, %v", size, err)
		}
		s.wantBlob(repoB, "a blob", true)
		s.must(s.Unlink(s.ctx, repoA, d))
		s.must(s.Unlink(s.ctx, repoB, d))
		_, err = s.Mount(s.ctx, repoB, mirror.Repo{}, d)
		s.wantCode(err, mirror.CodeBlobUnknown) // the content may be stored, but no repository may read it
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"})
		_, err = s.Mount(s.ctx, repoB, mirror.Repo{}, m.Digest)
		s.wantCode(err, mirror.CodeBlobUnknown) // a manifest is not a blob
	}},
	{"MountBeforeArrival", func(s *storeTest) {
		m := image{config: "{}", layers: []string{"layer"}}.manifest(mirror.Mirrored)
		s.must(s.PutManifest(s.ctx, repoA, m))
		for _, from := range []mirror.Repo{repoA, {}} {
			_, err := s.Mount(s.ctx, repoB, from, digest.FromString("layer"))
			s.wantCode(err, mirror.CodeBlobUnknown) // not stored
		}
	}},
	{"Unlink", func(s *storeTest) {
		d := s.push(repoA, "a blob")
		s.push(repoB, "a blob")
		s.wantCode(s.Unlink(s.ctx, repoA2, d), mirror.CodeBlobUnknown)
		s.must(s.Unlink(s.ctx, repoA, d))
		s.wantBlob(repoA, "a blob", false)
		s.wantBlob(repoB, "a blob", true)
		s.wantCode(s.Unlink(s.ctx, repoA, d), mirror.CodeBlobUnknown)
		s.push(repoA, "a blob")
		s.wantBlob(repoA, "a blob", true)
	}},
	{"UnlinkOfReferencedBlob", func(s *storeTest) {
		first := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{"layer"}})
		second := s.pushImage(repoA, mirror.Pushed, image{config: "{ }", layers: []string{"layer"}})
		d := s.push(repoB, "layer")
		for _, m := range []mirror.Manifest{first, second} {
			err := s.Unlink(s.ctx, repoA, d)
			s.wantCode(err, mirror.CodeUnsupported)
			if !strings.Contains(err.Error(), "manifest sha256:") {
				s.t.Errorf("error does not name the manifest: %v", err)
			}
			s.wantBlob(repoA, "layer", true)
			s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
		}
		s.must(s.Unlink(s.ctx, repoA, d))
		s.wantBlob(repoA, "layer", false)
		s.wantBlob(repoB, "layer", true)
	}},
	{"ManifestAsBlob", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"})
		s.push(repoA, string(m.Bytes))
		s.wantBlob(repoA, string(m.Bytes), true)
		s.wantStat(repoA, m.Digest, mirror.BlobStat{Stored: true, Linked: true, Size: int64(len(m.Bytes))})
		s.must(s.Unlink(s.ctx, repoA, m.Digest)) // no manifest refers to it
		s.wantBlob(repoA, string(m.Bytes), false)
		s.wantManifest(repoA, m)
	}},
}
