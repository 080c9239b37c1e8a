package main

import (
	"context"
	"encoding/json"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"airmirror/api/admin"
	"airmirror/api/audit"
)

// openAudit opens the audit log. One that cannot be kept is a mistake in the settings, as nobody would notice later.
func openAudit(file string, log *zap.Logger) (*audit.Log, error) {
	l, err := audit.Open(file, log)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return l, nil
}

// audit writes down what a command did to a user, which it does without the server. A log that the server has not begun yet
// is not begun for it: the server may be another account, which could not write to it.
func (u *userFile) audit(action, name string, err error) {
	path := u.Audit.File
	if info, statErr := os.Stat(path); path == "" || statErr != nil || !info.Mode().IsRegular() {
		return
	}
	log := newCommandLogger(zapcore.ErrorLevel, logTo(os.Stderr))
	l, logErr := audit.Open(path, log)
	if logErr != nil {
		log.Error("what was done to a user is not in the audit log", zap.Error(logErr))
		return
	}
	defer l.Close()
	detail, _ := json.Marshal(map[string]string{"user": name, "file": u.path}) // of text
	l.Write(audit.Entry{Action: action, User: admin.PeerUser(context.Background()), Address: "local", Detail: detail}, err)
}
