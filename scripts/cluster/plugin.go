package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	resource = "nvidia.com/gpu"
	socket   = "worker-images.sock"
)

// plugin gives pods the GPUs that a CDI specification of the node has.
type plugin struct {
	api.UnimplementedDevicePluginServer
	gpus     int
	replicas int
	cdi      bool
}

func newPluginCommand() *cobra.Command {
	p := &plugin{}
	command := &cobra.Command{
		Use:   "gpu-plugin",
		Short: "A device plugin for nvidia.com/gpu; a stand-in for NVIDIA's in tests",
		RunE:  func(command *cobra.Command, _ []string) error { return p.run(command.Context()) },
	}
	flags := command.Flags()
	flags.IntVar(&p.gpus, "gpus", 1, "the number of GPUs, which CDI names 0, 1, ...")
	flags.IntVar(&p.replicas, "replicas", 1, "how many pods share a GPU, as with time-slicing")
	flags.BoolVar(&p.cdi, "cdi", false, "name CDI devices; without it, set NVIDIA_VISIBLE_DEVICES")
	return command
}

// run serves the kubelet's device plugin API until the kubelet restarts or the process is ended.
func (p *plugin) run(ctx context.Context) error {
	path := filepath.Join(api.DevicePluginPath, socket)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, p)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if err := register(ctx); err != nil {
		return err
	}
	return <-failed
}

func register(ctx context.Context) error {
	connection, err := grpc.NewClient(
		"unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: socket, ResourceName: resource}
	_, err = api.NewRegistrationClient(connection).Register(ctx, request)
	return err
}

func (p *plugin) GetDevicePluginOptions(
	context.Context, *api.Empty,
) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

// ListAndWatch sends the devices once. The names have the form that NVIDIA's plugin gives replicas.
func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	var devices []*api.Device
	for gpu := range p.gpus {
		for replica := range p.replicas {
			id := fmt.Sprintf("%d::%d", gpu, replica)
			devices = append(devices, &api.Device{ID: id, Health: api.Healthy})
		}
	}
	if err := stream.Send(&api.ListAndWatchResponse{Devices: devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (p *plugin) Allocate(
	_ context.Context, request *api.AllocateRequest,
) (*api.AllocateResponse, error) {
	response := &api.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		gpus, err := numbers(container.DevicesIds)
		if err != nil {
			return nil, err
		}
		response.ContainerResponses = append(response.ContainerResponses, p.response(gpus))
	}
	return response, nil
}

// numbers returns the GPUs of device IDs, each once.
func numbers(ids []string) ([]string, error) {
	var gpus []string
	seen := map[string]bool{}
	for _, id := range ids {
		gpu, _, _ := strings.Cut(id, "::")
		if _, err := strconv.Atoi(gpu); err != nil {
			return nil, fmt.Errorf("device %q: %w", id, err)
		}
		if !seen[gpu] {
			gpus = append(gpus, gpu)
		}
		seen[gpu] = true
	}
	return gpus, nil
}

func (p *plugin) response(gpus []string) *api.ContainerAllocateResponse {
	if !p.cdi {
		visible := strings.Join(gpus, ",")
		return &api.ContainerAllocateResponse{
			Envs: map[string]string{"NVIDIA_VISIBLE_DEVICES": visible},
		}
	}
	response := &api.ContainerAllocateResponse{}
	for _, gpu := range gpus {
		device := &api.CDIDevice{Name: resource + "=" + gpu}
		response.CdiDevices = append(response.CdiDevices, device)
	}
	return response
}
