package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/drift/dataset"
	"github.com/segue-serving/segue/loader/artifact"
)

// profiling are the flags of profile.
type profiling struct {
	artifact, output, via, viaKeyFile, label, unit, source, fromLive string
	options                                                          drift.Options
	kinds                                                            map[string]string
	calibrate                                                        bool
	window, windows                                                  int
	falseAlarms                                                      float64
	every                                                            time.Duration
}

func (c *cli) profileCommand() *cobra.Command {
	var p profiling
	cmd := &cobra.Command{
		Use:   "profile [DATA]",
		Short: "Make the reference that a model's inputs and answers are compared with",
		Long: `Make the reference that a model's inputs and answers are compared with.

DATA is training data: .npz, .npy, .csv, .parquet, or a folder of inference
requests (.json, .bin). Columns and arrays are matched by the names of the
model's inputs and outputs, as name[3] where a row has several values. Answers
come from the data or from a gateway (--via); with labels beside them the
expected accuracy is watched too.

With --from-live there is no DATA: the reference is what the fleet has counted of a
version in the last 24 hours, in the bins of the profile that its artifact holds.

With --calibrate half of the data makes a reference and windows of the other
half are compared with it, to show how many false alarms there are.`,
		Example: `  seguectl profile train.parquet --artifact models/fraud/3 --label is_fraud
  seguectl profile train.npz --artifact models/mozart/1 --via http://localhost:8000/v2/models/mozart/versions/1
  seguectl profile train.csv --artifact models/fraud/3 --calibrate --window 2000
  seguectl profile --from-live fraud/3 --artifact models/fraud/3 -o live-profile.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			switch {
			case (p.fromLive == "") == (len(args) == 0):
				return nil, usageError{errors.New("a profile is made of DATA or, without it, of what --from-live names")}
			case p.fromLive != "":
				return c.with(ctx, func(s *source) (report, error) { return c.profileLive(ctx, s, &p) })
			}
			return c.profile(ctx, args[0], &p)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&p.artifact, "artifact", "", "the model's folder or .onnx file")
	f.StringVarP(&p.output, "output", "o", artifact.ProfileFile, "where the profile is written")
	f.StringVar(&p.fromLive, "from-live", "", "MODEL/VERSION whose live counts are the reference")
	f.StringVar(&p.via, "via", "", "URL of the model at a gateway that gives the answers")
	f.StringVar(&p.viaKeyFile, "via-key-file", "", "file with the API key for --via")
	f.StringVar(&p.label, "label", "", "the column or array with the right class (default label or labels)")
	f.StringVar(&p.unit, "unit", "", "the column or array that says whom or what each row is from")
	f.StringVar(&p.source, "source", "", "what the data is, in words (default its file's name)")
	f.StringVar(&p.options.Model, "model", "", "the model's name (default that of the manifest)")
	f.StringVar(&p.options.Version, "version", "", "refuse the profile for any other version")
	f.StringToStringVar(&p.kinds, "kind", nil, "overrule what a tensor is taken for: user_id=categorical")
	f.StringSliceVar(&p.options.Ignore, "ignore", nil, "inputs and outputs to leave out")
	f.IntVar(&p.options.Bins, "bins", 10, "bins of a number")
	f.IntVar(&p.options.Rows, "rows", 100_000, "rows kept at most, a uniform sample")
	f.Uint64Var(&p.options.Seed, "seed", 1, "of the sample and the projections")
	f.BoolVar(&p.calibrate, "calibrate", false, "compare windows of held-out rows and count false alarms")
	f.IntVar(&p.window, "window", 1000, "with --calibrate, rows of a window")
	f.IntVar(&p.windows, "windows", 1000, "with --calibrate, windows that are drawn")
	f.Float64Var(&p.falseAlarms, "false-alarms-per-month", 1, "with --calibrate, what is configured")
	f.DurationVar(&p.every, "every", time.Hour, "with --calibrate, the time that a window stands for")
	cobra.CheckErr(cmd.MarkFlagRequired("artifact"))
	return cmd
}

// profileReport is what was made.
type profileReport struct {
	Output      string             `json:"output"`
	Samples     uint64             `json:"samples"`
	Rows        uint64             `json:"rows"`
	Features    []profiledFeature  `json:"features"`
	Notes       []string           `json:"notes,omitempty"`
	Calibration *calibrationReport `json:"calibration,omitempty"`
}

type profiledFeature struct {
	Name   string     `json:"name"`
	Kind   drift.Kind `json:"kind"`
	Series int        `json:"series"`
	Bins   int        `json:"bins"`
}

func (r *profileReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "%s: %d features from %d rows\n", r.Output, len(r.Features), r.Rows)
	for _, f := range r.Features {
		what := fmt.Sprintf("%d bins", f.Bins)
		if f.Series > 1 {
			what = fmt.Sprintf("%d series", f.Series)
		}
		fmt.Fprintf(w, "  %-28s %-12s %s\n", f.Name, f.Kind, what)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	if r.Calibration != nil {
		r.Calibration.writeText(w)
	}
}

func (c *cli) profile(ctx context.Context, data string, p *profiling) (report, error) {
	manifest, err := readManifest(ctx, p.artifact)
	if err != nil {
		return nil, err
	}
	if p.options.Model == "" {
		p.options.Model = manifest.Model
	}
	p.options.Source = p.source
	if p.source == "" {
		p.options.Source = filepath.Base(data)
	}
	if err := p.parseKinds(); err != nil {
		return nil, usageError{err}
	}
	builder, err := drift.NewBuilder(manifest.Signature, p.options)
	if err != nil {
		return nil, usageError{err}
	}
	var half *calibration
	if p.calibrate {
		if half, err = newCalibration(manifest.Signature, p); err != nil {
			return nil, usageError{err}
		}
	}
	if err := c.readData(ctx, data, manifest, p, builder, half); err != nil {
		return nil, err
	}
	profile, err := builder.Profile()
	if err != nil {
		return nil, err
	}
	body, err := profile.Marshal()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.output, body, 0o644); err != nil {
		return nil, err
	}
	r := newProfileReport(p.output, profile, builder.Rows())
	if half != nil {
		r.Calibration, err = half.run(ctx)
	}
	return r, err
}

// newProfileReport says what a profile of so many rows holds.
func newProfileReport(output string, profile *drift.Profile, rows uint64) *profileReport {
	r := &profileReport{Output: output, Samples: profile.Samples, Rows: rows, Notes: profile.Notes}
	for _, f := range profile.Features {
		r.Features = append(r.Features, profiledFeature{f.Name, f.Kind, len(f.Series), len(f.Series[0].Reference.Bins)})
	}
	return r
}

func (p *profiling) parseKinds() error {
	p.options.Kinds = map[string]drift.Kind{}
	for tensor, word := range p.kinds {
		var kind drift.Kind
		if err := kind.UnmarshalText([]byte(word)); err != nil {
			return fmt.Errorf("--kind %s: %w", tensor, err)
		}
		p.options.Kinds[tensor] = kind
	}
	return nil
}

// readManifest reads an artifact's manifest, or makes one of the model alone.
func readManifest(ctx context.Context, at string) (*artifact.Manifest, error) {
	body, err := os.ReadFile(filepath.Join(at, artifact.ManifestFile))
	var m *artifact.Manifest
	if err == nil {
		m, err = artifact.Parse(body)
	} else {
		m, _, err = artifact.Make(ctx, at)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if m.Signature == nil {
		return nil, fmt.Errorf("%s: the model does not declare all of its shapes: pack it with a manifest", at)
	}
	return m, nil
}

// readData puts every row into the builder, with progress.
func (c *cli) readData(ctx context.Context, path string, m *artifact.Manifest, p *profiling, builder *drift.Builder, half *calibration) error {
	var classes []string
	for _, labels := range m.Labels {
		classes = labels
	}
	data, err := dataset.Open(path, m.Signature, dataset.Options{Label: p.label, Unit: p.unit, Classes: classes})
	if err != nil {
		return err
	}
	defer data.Close()
	var gateway *rowAnswers
	if p.via != "" {
		if gateway, err = newRowAnswers(p.via, p.viaKeyFile, m.Signature); err != nil {
			return err
		}
	}
	show := progress{cli: c, next: c.now().Add(meterEvery)}
	defer show.end()
	for {
		batch, err := data.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if gateway != nil {
			if batch.Outputs, err = gateway.ask(ctx, batch.Inputs, batch.Rows); err != nil {
				return err
			}
		}
		if err := addBatch(batch, builder, half); err != nil {
			return err
		}
		show.rows(builder.Rows(), data)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// addBatch puts rows where they go: together, or each by itself where it says
// whom it is from or may be held out.
func addBatch(b dataset.Batch, builder *drift.Builder, half *calibration) error {
	all := drift.Rows{Inputs: b.Inputs, Outputs: b.Outputs, Labels: b.Labels}
	if half == nil && b.Units == nil {
		return builder.Add(all)
	}
	for row := range b.Rows {
		one := drift.Rows{Inputs: rowOf(b.Inputs, b.Rows, row), Outputs: rowOf(b.Outputs, b.Rows, row)}
		if b.Labels != nil {
			one.Labels = b.Labels[row : row+1]
		}
		if b.Units != nil {
			one.Unit = b.Units[row]
		}
		if err := builder.Add(one); err != nil {
			return err
		}
		if half != nil {
			if err := half.add(one); err != nil {
				return err
			}
		}
	}
	return nil
}

// progress shows on a terminal how many rows were read.
type progress struct {
	*cli
	next   time.Time
	showed bool
}

func (p *progress) rows(n uint64, data dataset.Dataset) {
	now := p.now()
	if !p.interactive || now.Before(p.next) {
		return
	}
	p.next, p.showed = now.Add(meterEvery), true
	done, total := data.Progress()
	fmt.Fprintf(p.stderr, "\rreading: %d rows, %d %% ", n, 100*done/max(total, 1))
}

// end leaves the line that was drawn on.
func (p *progress) end() {
	if p.showed {
		fmt.Fprintln(p.stderr)
	}
}
