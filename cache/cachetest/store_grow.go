package cachetest

import (
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var storeGrowTests = []storeCase{
	{"Grows", func(s *storeTest) {
		d := digest.FromString("a blob")
		part := mirror.PartialBlob{}
		for _, next := range []string{"a ", "bl", "ob"} {
			in := s.grow(d, part)
			s.appends(in, next)
			var err error
			part, err = in.SuspendPartial()
			s.ok(err)
			s.ok(in.Abort()) // which does nothing any more
			in = s.grow(d, part)
			s.appends(in, "what is given up")
			s.ok(in.Abort())
			s.notHeld(d)
		}
		in := s.grow(d, part)
		if in.Digest() != d {
			s.t.Errorf("it is %s", in.Digest())
		}
		s.ok(in.Commit(s.ctx, mirror.Repo{}))
		s.held(d, "a blob")
		s.readable(repoA, "a blob", false)
		_, err := s.Store.ResumeBlob(s.ctx, d, part)
		s.code(err, mirror.CodeBlobUploadUnknown)
		s.held(d, "a blob")
	}},
	{"GrowsWrong", func(s *storeTest) {
		in := s.grow(digest.FromString("right"), mirror.PartialBlob{})
		s.appends(in, "wr")
		part, err := in.SuspendPartial()
		s.ok(err)
		in = s.grow(digest.FromString("right"), part)
		s.appends(in, "ong")
		s.code(in.Commit(s.ctx, mirror.Repo{}), mirror.CodeDigestInvalid)
		_, err = s.Store.ResumeBlob(s.ctx, digest.FromString("right"), part)
		s.code(err, mirror.CodeBlobUploadUnknown)
		if left := s.uploads(); len(left) > 0 {
			s.t.Errorf("%v is left", left)
		}
	}},
	{"PartsExpire", func(s *storeTest) {
		in := s.grow("", mirror.PartialBlob{})
		s.appends(in, "a part")
		part, err := in.SuspendPartial()
		s.ok(err)
		first, second := s.ProtectPartial(part.ID), s.ProtectPartial(part.ID)
		if got := s.uploads()[part.ID]; !got.Open || got.Repo != "" || got.Size != 6 {
			s.t.Errorf("the part is %+v", got)
		}
		s.expire(part.ID, time.Now().Add(time.Hour), false)
		first()
		first()
		s.expire(part.ID, time.Now().Add(time.Hour), false)
		s.ok(s.grow("", part).Abort())
		second()
		if s.uploads()[part.ID].Open {
			s.t.Error("it is protected for ever")
		}
		_, err = s.Upload(s.ctx, repoA, part.ID)
		s.code(err, mirror.CodeBlobUploadUnknown)
		s.expire(part.ID, time.Now().Add(-time.Minute), false)
		s.expire(part.ID, time.Now().Add(time.Hour), true)
		_, err = s.Store.ResumeBlob(s.ctx, "", part)
		s.code(err, mirror.CodeBlobUploadUnknown)
	}},
}

func (s *storeTest) grow(d digest.Digest, part mirror.PartialBlob) mirror.ResumableBlob {
	s.t.Helper()
	in, err := s.Store.ResumeBlob(s.ctx, d, part)
	s.ok(err)
	return in
}

func (s *storeTest) appends(in mirror.ResumableBlob, data string) {
	s.t.Helper()
	_, err := io.Copy(in, strings.NewReader(data))
	s.ok(err)
}
