package cachetest

import (
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var storeResumeBlobTests = []storeCase{
	{"ResumeUntilCommit", func(s *storeTest) {
		d := digest.FromString("a blob")
		partial := mirror.PartialBlob{}
		for _, next := range []string{"a ", "bl", "ob"} {
			in := s.resumeBlob(d, partial)
			s.write(in, next)
			var err error
			partial, err = in.SuspendPartial()
			s.must(err)
			s.must(in.Abort()) // which does nothing after SuspendPartial
			in = s.resumeBlob(d, partial)
			s.write(in, "aborted")
			s.must(in.Abort())
			s.wantNoContent(d)
		}
		in := s.resumeBlob(d, partial)
		if in.Digest() != d {
			s.t.Errorf("digest is %s", in.Digest())
		}
		s.must(in.Commit(s.ctx, mirror.Repo{}))
		s.wantContent(d, "a blob")
		s.wantBlob(repoA, "a blob", false)
		_, err := s.Store.ResumeBlob(s.ctx, d, partial)
		s.wantCode(err, mirror.CodeBlobUploadUnknown)
		s.wantContent(d, "a blob")
	}},
	{"WrongDigest", func(s *storeTest) {
		in := s.resumeBlob(digest.FromString("right"), mirror.PartialBlob{})
		s.write(in, "wr")
		partial, err := in.SuspendPartial()
		s.must(err)
		in = s.resumeBlob(digest.FromString("right"), partial)
		s.write(in, "ong")
		s.wantCode(in.Commit(s.ctx, mirror.Repo{}), mirror.CodeDigestInvalid)
		_, err = s.Store.ResumeBlob(s.ctx, digest.FromString("right"), partial)
		s.wantCode(err, mirror.CodeBlobUploadUnknown)
		if unfinished := s.listUploads(); len(unfinished) > 0 {
			s.t.Errorf("unfinished: %v", unfinished)
		}
	}},
	{"ProtectAndExpire", func(s *storeTest) {
		in := s.resumeBlob("", mirror.PartialBlob{})
		s.write(in, "a part")
		partial, err := in.SuspendPartial()
		s.must(err)
		first, second := s.ProtectPartial(partial.ID), s.ProtectPartial(partial.ID)
		if got := s.listUploads()[partial.ID]; !got.Open || got.Repo != "" || got.Size != 6 {
			s.t.Errorf("the partial blob is %+v", got)
		}
		s.wantExpired(partial.ID, time.Now().Add(time.Hour), false)
		first()
		first()
		s.wantExpired(partial.ID, time.Now().Add(time.Hour), false)
		s.must(s.resumeBlob("", partial).Abort())
		second()
		if s.listUploads()[partial.ID].Open {
			s.t.Error("it is protected after every release")
		}
		_, err = s.Upload(s.ctx, repoA, partial.ID)
		s.wantCode(err, mirror.CodeBlobUploadUnknown)
		s.wantExpired(partial.ID, time.Now().Add(-time.Minute), false)
		s.wantExpired(partial.ID, time.Now().Add(time.Hour), true)
		_, err = s.Store.ResumeBlob(s.ctx, "", partial)
		s.wantCode(err, mirror.CodeBlobUploadUnknown)
	}},
}

func (s *storeTest) resumeBlob(d digest.Digest, partial mirror.PartialBlob) mirror.ResumableBlob {
	s.t.Helper()
	in, err := s.Store.ResumeBlob(s.ctx, d, partial)
	s.must(err)
	return in
}

func (s *storeTest) write(in mirror.ResumableBlob, data string) {
	s.t.Helper()
	_, err := io.Copy(in, strings.NewReader(data))
	s.must(err)
}
