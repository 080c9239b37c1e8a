package server

import (
	"bytes"
	"errors"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestCommandLoggerWritesLines(t *testing.T) {
	var out bytes.Buffer
	log := NewCommandLogger(zapcore.ErrorLevel, &out)
	log.Info("not worth a line")
	log.With(zap.String("set", "plant")).Error("cannot go on", zap.Int("volume", 2), zap.Error(errors.New("the disk is full")))
	log.Error("that is all")
	if want := "mirror: cannot go on, set plant, volume 2: the disk is full\nmirror: that is all\n"; out.String() != want {
		t.Errorf("it says\n%swant\n%s", &out, want)
	}
}
