package gateway

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"

	"github.com/segue-serving/segue/gateway/oip/oippb"
)

func TestLargeMessagesAreDecompressedInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := takingTurns{newDeflate(), make(chan struct{}, 1)}
		read := func(size int) (r io.Reader, all <-chan int) {
			var packed bytes.Buffer
			w, err := c.Compress(&packed)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if r, err = c.Decompress(&packed); err != nil {
				t.Fatal(err)
			}
			done := make(chan int, 1)
			go func() {
				n, err := io.Copy(io.Discard, struct{ io.Reader }{r})
				if err != nil {
					t.Error(err)
				}
				done <- int(n)
			}()
			synctest.Wait()
			return r, done
		}
		finished := func(r io.Reader, all <-chan int, size int) {
			t.Helper()
			synctest.Wait()
			select {
			case n := <-all:
				if n != size {
					t.Errorf("%d bytes of %d", n, size)
				}
			default:
				t.Fatal("a message still waits for its turn")
			}
			if err := r.(io.Closer).Close(); err != nil {
				t.Error(err)
			}
		}
		first, ofFirst := read(3 * keptBytes)
		second, ofSecond := read(2 * keptBytes)
		small, ofSmall := read(keptBytes / 2)
		finished(small, ofSmall, keptBytes/2)
		if len(ofSecond) > 0 {
			t.Error("two large messages are decompressed at once")
		}
		finished(first, ofFirst, 3*keptBytes)
		finished(second, ofSecond, 2*keptBytes)
		if len(c.turns) > 0 {
			t.Error("a turn is not given back")
		}
	})
	for _, coding := range []string{gzip.Name, deflateName} {
		if c, ok := encoding.GetCompressor(coding).(takingTurns); !ok || cap(c.turns) != unpackedBodies {
			t.Errorf("messages in %s take no turns", coding)
		}
	}
}

func TestOnlySoMuchLiesDecompressedAtOnceOverGRPCToo(t *testing.T) {
	g := newTestGateway(t)
	table := *g.mozart()
	table.maxBody = 4 * keptBytes
	g.router.publish(&table)
	client := g.rpc()
	stream, err := client.ModelStreamInfer(t.Context(), grpc.UseCompressor(deflateName))
	if err != nil {
		t.Fatal(err)
	}
	large := rowsMessage(1)
	large.Parameters = map[string]*oippb.InferParameter{"p": {ParameterChoice: &oippb.InferParameter_StringParam{StringParam: strings.Repeat("a", 2*keptBytes)}}}
	infer := func(coding string, message *oippb.ModelInferRequest) error {
		_, err := client.ModelInfer(t.Context(), message, grpc.UseCompressor(coding))
		return err
	}
	streamed := func(says string) {
		t.Helper()
		if err := stream.Send(large); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || got.ErrorMessage != says {
			t.Errorf("%v, %v", got, err)
		}
	}
	const full = "the gateway is decompressing as much as it may"
	held := unpackedBodies*(table.maxBody+1) - keptBytes
	g.codec.unpacked.Store(held) // as bodies over HTTP hold it
	for _, coding := range []string{gzip.Name, deflateName} {
		wantStatus(t, infer(coding, large), codes.Unavailable, full)
	}
	streamed(full)
	if n := g.metrics.shed[shedInFlight].Load(); n != 3 {
		t.Errorf("%d requests count as shed", n)
	}
	for what, err := range map[string]error{"not compressed": infer(encoding.Identity, large), "small": infer(gzip.Name, rowsMessage(1))} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	g.codec.unpacked.Store(held - 2*keptBytes)
	for _, coding := range []string{gzip.Name, deflateName} {
		if err := infer(coding, large); err != nil {
			t.Errorf("%s: %v", coding, err)
		}
	}
	streamed("")
	eventually(t, "all room is given back", func() bool { return g.codec.unpacked.Load() == held-2*keptBytes })
}
