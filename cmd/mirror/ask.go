package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"airmirror/api/admin"
	"airmirror/cache"
	"airmirror/cmd/mirror/config"
	"airmirror/mirror/proxy"
)

// question is a command that asks the mirror of a data folder: the server that runs on it or, if none does, what the
// command itself finds in the folder.
type question struct {
	serveConfig // of the mirror that the command opens itself
	json        bool
	create      bool // the folder need not be there
}

// ownerPatience is how long a command waits for the owner of a folder to answer: a server that is just starting, or
// another command that is just ending.
const ownerPatience = 3 * time.Second

var errInterrupted = &exitError{exitInterrupted, errors.New("interrupted")}

// command completes cmd with what all questions have: flags, exit codes, and an answer by ask. The file and the
// environment say which mirror is meant; the rest is said on the command line.
func (q *question) command(cmd *cobra.Command, ask func(cmd *cobra.Command, client *admin.Client, args []string) error) *cobra.Command {
	opens := pflag.NewFlagSet("", pflag.ContinueOnError) // what says which mirror is meant
	opens.SortFlags = false
	q.source.Flags(opens, config.StoreKeys...)
	opens.VisitAll(func(f *pflag.Flag) {
		if f.Name != "data" {
			f.Usage += "; only counts while no server runs"
			f.Hidden = !q.create && f.Name != "upstream"
		}
	})
	f := cmd.Flags()
	f.AddFlagSet(opens)
	f.BoolVar(&q.json, "json", false, "print JSON")
	f.SortFlags = false
	cmd.Args = usage(cmd.Args)
	cmd.PreRunE = func(*cobra.Command, []string) error { return q.load() }
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, end, err := q.open(cmd.Context())
		if err != nil {
			return err
		}
		err = ask(cmd, client, args)
		if exit := (*exitError)(nil); cmd.Context().Err() != nil && !errors.As(err, &exit) {
			err = errInterrupted
		}
		return errors.Join(err, end(cmd.Context()))
	}
	return cmd
}

// usage makes mistakes in arguments mistakes of usage.
func usage(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if args == nil { // cobra would take the first for a command
			return nil
		}
		if err := args(cmd, given); err != nil {
			return &exitError{exitUsage, fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())}
		}
		return nil
	}
}

// noArguments is for commands that take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no argument %q", cmd.Name(), args[0])
	}
	return nil
}

// patterns is for commands whose arguments are patterns.
func patterns(_ *cobra.Command, args []string) error { return admin.CheckMatch(args...) }

// open finds the mirror of the data folder. The caller calls end after the last answer.
func (q *question) open(ctx context.Context) (client *admin.Client, end func(context.Context) error, err error) {
	patience := time.NewTimer(ownerPatience)
	defer patience.Stop()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		transport, err := admin.Dial(ctx, q.Data)
		if err == nil {
			return admin.NewClient(transport), func(context.Context) error { transport.CloseIdleConnections(); return nil }, nil
		}
		if !errors.Is(err, admin.ErrNoServer) {
			return nil, nil, &exitError{exitInUse, err}
		}
		if err := q.find(); err != nil {
			return nil, nil, err
		}
		client, end, err = q.openFolder(ctx)
		var exit *exitError
		if err == nil || !errors.As(err, &exit) || exit.code != exitInUse {
			return client, end, err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, nil, errInterrupted
		case <-patience.C:
			return nil, nil, &exitError{exitInUse, fmt.Errorf("the data folder %s is in use by a process that does not answer on %s: a mirror that is just stopping, or another command; try again when it has ended",
				q.Data, filepath.Join(q.Data, admin.SocketName))}
		}
	}
}

// find reports whether there is no mirror in the folder, for a command that makes none.
func (q *question) find() error {
	if q.create {
		return nil
	}
	found, err := cache.HasIndex(q.Data)
	if err != nil {
		return folderError(q.Data, err)
	}
	if found {
		return nil
	}
	return &exitError{exitData, fmt.Errorf("there is no mirror in the folder %s: name its data folder with --data, or start one with 'mirror serve --data %[1]s'", q.Data)}
}

// openFolder makes this process the owner of the folder.
func (q *question) openFolder(ctx context.Context) (*admin.Client, func(context.Context) error, error) {
	log := newCommandLogger(zapcore.ErrorLevel, logTo(os.Stderr))
	if err := mayWrite(q.Data, os.Geteuid()); err != nil {
		return nil, nil, err
	}
	store, err := openStore(q.Data, cache.Options{Log: log, SweepTime: time.Second})
	if err != nil {
		return nil, nil, err
	}
	c := q.serveConfig
	c.Verify.Interval, c.GC.Throttle = 0, 0 // there is no server, and no client to leave time to
	if c.events, err = c.openEvents(c.Listen, log); err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	m, err := newMirror(store, c, log)
	if err != nil {
		c.events.Close()
		return nil, nil, errors.Join(err, store.Close())
	}
	closeAll := func(ctx context.Context) error {
		err := closeMirror(ctx, m)
		c.events.Close() // the next server delivers what there is
		return errors.Join(err, store.Close())
	}
	w, err := newServices(ctx, m, store, c, log)
	if err != nil {
		return nil, nil, errors.Join(err, closeAll(ctx))
	}
	transport := admin.InProcess(newAdmin(w, q.serveConfig, nil, zap.NewNop())) // what fails is this command's to tell
	return admin.NewClient(transport), func(ctx context.Context) error {
		transport.Wait()
		return closeAll(ctx)
	}, nil
}

// closeMirror ends m without waiting for what nobody asked for: what is left undone is noted, and done by the next
// server.
func closeMirror(ctx context.Context, m *proxy.Proxy) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := m.Close(ctx)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// newAdmin returns the admin API of a mirror; server is what serves it, or nil.
func newAdmin(w *services, c serveConfig, server *admin.Server, log *zap.Logger) *admin.Handler {
	data, err := filepath.Abs(c.Data)
	if err != nil {
		data = c.Data
	}
	var reload func(context.Context) (admin.Reloaded, error)
	if w.reloader != nil {
		reload = w.reloader.reload
	}
	return admin.New(w.mirror, admin.Options{
		Version: version, Data: data, Server: server, Log: log, Reload: reload, OnChange: w.audit.Command,
		Jobs: w.Jobs(), Streams: w.Streams(), Storage: w.Storage,
	})
}
