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
	"go.uber.org/zap/zapcore"

	"airmirror/api/admin"
	"airmirror/cache"
	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/server"
	"airmirror/mirror"
)

// adminCommand is a command that uses the admin API: of a mirror on another machine (--server), or of the data folder. For the
// folder it is that of the server that runs on it or, if none does, of a mirror that the command opens itself.
type adminCommand struct {
	config.Loaded
	output
	source config.Source
	create bool           // create the data folder if it does not exist
	store  *pflag.FlagSet // the settings among the flags
	detach bool           // only start a job, which needs a server
}

// ownerTimeout is how long a command waits for the process that owns a folder: a server that is starting, or another
// command that is ending.
const ownerTimeout = 3 * time.Second

var errInterrupted = &exitError{exitInterrupted, errors.New("interrupted")}

// settingsTitle is the title of the settings of these commands in the help.
const settingsTitle = "Settings (without a running server; with one, only --data):"

// command completes cmd with the flags of all such commands, and has it call run with a client of the mirror.
func (q *adminCommand) command(cmd *cobra.Command, run func(cmd *cobra.Command, client *admin.Client, args []string) error) *cobra.Command {
	store := pflag.NewFlagSet("", pflag.ContinueOnError)
	q.source.Flags(store, config.StoreKeys...)
	config.SetUsage(store.Lookup("data"), "use the mirror that stores everything in this `folder`")
	asSettings(cmd, store, settingsTitle)
	q.store = store
	f := cmd.Flags()
	f.AddFlagSet(store)
	q.output.flags(f)
	f.SortFlags = false
	cmd.Args = usage(cmd.Args)
	cmd.PreRunE = func(*cobra.Command, []string) (err error) {
		q.Loaded, err = load(q.source)
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, end, err := q.openFor(cmd)
		if err != nil {
			return err
		}
		err = run(cmd, client, args)
		if isRemote(cmd) {
			err = remoteError(cmd, err)
		}
		if exit := (*exitError)(nil); cmd.Context().Err() != nil && !errors.As(err, &exit) {
			err = errInterrupted
		}
		return errors.Join(err, end(cmd.Context()))
	}
	return cmd
}

// patterns validates arguments that are patterns.
func patterns(_ *cobra.Command, args []string) error { return admin.CheckMatch(args...) }

// openFor returns a client of the mirror that cmd is for: on another machine, or that of the data folder. The caller calls end
// when it is done.
func (q *adminCommand) openFor(cmd *cobra.Command) (client *admin.Client, end func(context.Context) error, err error) {
	if isRemote(cmd) {
		return openRemote(cmd)
	}
	q.detach = isDetached(cmd)
	return q.open(cmd.Context())
}

// open returns a client of the mirror of the data folder. The caller calls end when it is done.
func (q *adminCommand) open(ctx context.Context) (client *admin.Client, end func(context.Context) error, err error) {
	timeout := time.NewTimer(ownerTimeout)
	defer timeout.Stop()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		transport, err := admin.Dial(ctx, q.Data)
		if err == nil {
			client := admin.NewClient(transport)
			if err := q.checkFlags(ctx, client); err != nil {
				transport.CloseIdleConnections()
				return nil, nil, err
			}
			return client, func(context.Context) error { transport.CloseIdleConnections(); return nil }, nil
		}
		if !errors.Is(err, admin.ErrNoServer) {
			return nil, nil, &exitError{exitInUse, err}
		}
		if q.detach {
			return nil, nil, errNoServerToDetach
		}
		if err := server.CheckDirect(q.Config); err != nil {
			return nil, nil, err
		}
		if err := q.checkFolder(); err != nil {
			return nil, nil, err
		}
		client, end, err = q.openFolder(ctx)
		if failure := (*server.Error)(nil); !errors.As(err, &failure) || failure.Kind != server.InUse {
			return client, end, err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, nil, errInterrupted
		case <-timeout.C:
			return nil, nil, &exitError{exitInUse, fmt.Errorf("the data folder %s is in use by a process that does not answer on %s: a server that migrates its index or is stopping, or another command; try again later",
				q.Data, filepath.Join(q.Data, admin.SocketName))}
		}
	}
}

// checkFlags returns an error for a setting that was given as a flag, as a running server uses its own. A server that is
// in the wanted mode anyway satisfies --offline.
func (q *adminCommand) checkFlags(ctx context.Context, client *admin.Client) (err error) {
	q.store.VisitAll(func(f *pflag.Flag) {
		if !f.Changed || f.Name == "data" || f.Name == "config" || err != nil {
			return
		}
		instead := "change it in the settings of the server, and run 'mirror reload'"
		if f.Name == "offline" {
			wanted, now := f.Value.String() == "true", mirror.Online
			if mode, failed := client.Mode(ctx); failed == nil {
				now = mode.Mode
			}
			if wanted == (now == mirror.Offline) {
				return
			}
			instead = "run 'mirror mode auto' first"
			if wanted {
				instead = "run 'mirror mode offline' first"
			}
		}
		err = &exitError{exitUsage, fmt.Errorf("--%s has no effect, as a server runs on %s and uses its own settings: %s", f.Name, q.Data, instead)}
	})
	return err
}

// checkFolder returns an error if the data folder contains no mirror and the command does not create one.
func (q *adminCommand) checkFolder() error {
	if q.create {
		return nil
	}
	found, err := server.HasMirror(q.Data)
	if err == nil && !found {
		err = &exitError{exitData, fmt.Errorf("there is no mirror in the folder %s: set its data folder with --data, or start a mirror with 'mirror serve --data %[1]s'", q.Data)}
	}
	return err
}

// openFolder opens the mirror of the data folder in this process.
func (q *adminCommand) openFolder(ctx context.Context) (*admin.Client, func(context.Context) error, error) {
	if err := server.CheckCommand(q.Data, os.Geteuid()); err != nil {
		return nil, nil, err
	}
	settings := q.Loaded
	settings.Verify.Interval, settings.GC.Throttle = 0, 0 // there are no clients to slow down for
	migrating := func() {
		printError(os.Stderr, "the index of "+q.Data+" has the form of an earlier version and is migrated first, which takes seconds to minutes: 200,000 images take about 15 seconds")
	}
	instance, err := server.Open(ctx, settings, server.Options{
		Version: version, Log: server.NewCommandLogger(zapcore.ErrorLevel, os.Stderr), Store: cache.Options{SweepTime: time.Second, Migrating: migrating},
	})
	if err != nil {
		return nil, nil, err
	}
	handler := instance.Admin()
	transport := admin.InProcess(admin.Local(handler))
	return admin.NewClient(transport), func(ctx context.Context) error {
		_ = handler.Close(context.WithoutCancel(ctx)) // waits for a job that was canceled
		transport.Wait()
		return instance.Close(ctx)
	}, nil
}
