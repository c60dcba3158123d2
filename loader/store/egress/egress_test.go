package egress

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/store"
)

func mustParse(t testing.TB, list string) Hosts {
	t.Helper()
	h, err := Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestOnlyPublicAddressesNeedNoLeave(t *testing.T) {
	for _, text := range strings.Fields(`
		8.8.8.8 1.1.1.1 172.15.0.1 172.32.0.1 192.169.0.1 100.63.255.255 2606:4700::1111 2a00:1450:4001:81b::200e ::ffff:8.8.8.8`) {
		if err := (Hosts{}).checkAddr(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range strings.Fields(`
		127.0.0.1 127.8.9.10 0.0.0.0 0.1.2.3 10.1.2.3 172.16.0.1 172.31.255.255 192.168.0.1 169.254.169.254 100.64.0.1 100.127.0.1
		192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
		::1 :: ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 fe80::1 fe80::1%eth0 fec0::1 fc00::1 fd00:ec2::254 ff02::1
		64:ff9b::a9fe:a9fe 2001::1 2001:db8::1 2002:7f00:1::1 3fff::1`) {
		addr := netip.MustParseAddr(text)
		err := (Hosts{}).checkAddr(addr)
		if err == nil || !store.IsPermanent(err) || !strings.Contains(err.Error(), "--artifact-hosts") {
			t.Errorf("%s: got %v, want a refusal that says how to allow it", text, err)
		}
		if err := Everywhere().checkAddr(addr); err != nil {
			t.Errorf("%s, everywhere: %v", text, err)
		}
	}
}

func TestListsAllowNamesAddressesAndNetworks(t *testing.T) {
	h := mustParse(t, " 10.0.0.0/8, 192.168.7.7,[fd00::1],Minio.Internal. ,localhost")
	for text, want := range map[string]bool{"10.9.9.9": true, "::ffff:10.9.9.9": true, "192.168.7.7": true, "192.168.7.8": false, "fd00::1": true, "fd00::2": false} {
		if err := h.checkAddr(netip.MustParseAddr(text)); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	for host, want := range map[string]bool{"minio.internal": true, "MINIO.internal.": true, "a.minio.internal": false, "10.1.1.1": true, "8.8.8.8": false, "[fd00::1]": true} {
		if h.Named(host) != want {
			t.Errorf("%s: named is %t", host, !want)
		}
	}
	if !mustParse(t, "*").Named("anything") {
		t.Error("* does not allow everything")
	}
	_, err := Parse("http://x, *.internal, 10.0.0.0/33, a b, good")
	if err == nil || strings.Count(err.Error(), "is no name of a host") != 4 {
		t.Errorf("got %v, want all four problems", err)
	}
}

// A name that leads to a forbidden address is refused by that address: what it
// led to when somebody looked before does not matter.
func TestTheAddressThatIsDialledIsChecked(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	get := func(h Hosts, url string) error {
		client := &http.Client{Transport: h.Transport()}
		defer client.CloseIdleConnections()
		response, err := client.Get(url)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		if err := get(Hosts{}, "http://"+host+":"+port); err == nil || !strings.Contains(err.Error(), "not a public address") || !store.IsPermanent(err) {
			t.Errorf("%s: got %v", host, err)
		}
	}
	if asked != 0 {
		t.Fatalf("%d requests arrived", asked)
	}
	for _, list := range []string{"127.0.0.0/8", "localhost", "*"} {
		if err := get(mustParse(t, list), "http://localhost:"+port); err != nil {
			t.Errorf("%s: %v", list, err)
		}
	}
	if asked != 3 {
		t.Errorf("%d requests arrived, want 3", asked)
	}
}

func TestBehindAProxyTheTargetIsStillChecked(t *testing.T) {
	asked := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer proxy.Close()
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	through := (Hosts{}).Transport().(*transport)
	through.proxy = http.ProxyURL(address)
	through.proxied.Proxy = through.proxy
	client := &http.Client{Transport: through}
	defer client.CloseIdleConnections()
	for target, want := range map[string]bool{"http://8.8.8.8/": true, "http://only-the-proxy-knows.invalid/": true, "http://169.254.169.254/": false, "http://localhost/": false} {
		before := asked
		response, err := client.Get(target)
		if err == nil {
			response.Body.Close()
		}
		if (err == nil) != want || (asked > before) != want {
			t.Errorf("%s: %v, the proxy was asked %d times", target, err, asked-before)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("10.0.0.0/8, minio.internal,[::1]")
	f.Fuzz(func(t *testing.T, list string) {
		h, err := Parse(list)
		if err != nil || strings.Contains(list, "*") || strings.Contains(list, "/0") {
			return
		}
		for _, prefix := range h.networks {
			if !prefix.IsValid() {
				t.Errorf("%q allows an invalid network", list)
			}
		}
	})
}
