"""File trees such as the boards' kernels show, made up from the vendor's documents."""

from pathlib import Path

X5 = {
    'proc/device-tree/model': 'D-Robotics RDK X5 V1.0\0',
    'sys/class/socinfo/soc_name': 'X5',
    'sys/class/socinfo/board_id': '302',
    'sys/class/socinfo/soc_uid': '0x0123456789abcdef',
    'etc/version': '3.5.0',
    'etc/os-release': 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
    'proc/meminfo': 'MemTotal: 8000000 kB\nMemFree: 1 kB\nMemAvailable: 5000000 kB\n'
                    'CmaTotal: 500000 kB\nCmaFree: 200000 kB\n',
    'sys/devices/system/cpu/cpufreq/policy0/scaling_governor': 'schedutil',
    'sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq': '1200000',
    'sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq': '1500000',
    'sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq': '1500000',
    'sys/devices/system/bpu/core_num': '1',
    'sys/devices/system/bpu/bpu0/ratio': '37',
    'sys/class/devfreq/3a000000.bpu/governor': 'performance',
    'sys/class/devfreq/3a000000.bpu/cur_freq': '1000000000',
    'sys/class/devfreq/3a000000.bpu/max_freq': '1000000000',
    'sys/class/devfreq/3a000000.bpu/available_frequencies': '500000000 1000000000',
    'sys/class/hwmon/hwmon0/name': 'hobot_vtsensor',
    'sys/class/hwmon/hwmon0/temp1_input': '46643',
    'sys/class/hwmon/hwmon0/temp2_input': '0',
    'var/lib/dpkg/status':
        'Package: hobot-dnn\nStatus: install ok installed\nVersion: 3.0.5\n\n'
        'Package: hobot-spdev\nStatus: deinstall ok config-files\nVersion: 1.0\n\n'
        'Package: tros-humble-mipi-cam\nStatus: install ok installed\nVersion: 2.3.1\n\n'
        'Package: bash\nStatus: install ok installed\nVersion: 5.1\n',
}

S100 = {
    'sys/class/boardinfo/soc_name': 'S100',
    'sys/class/boardinfo/board_type': 'RDK S100P',
    'sys/devices/system/bpu/bpu0/fw_version': '1.1.26',
    'sys/devices/system/bpu/bpu0/devfreq/28108000.bpu/governor': 'performance',
    'sys/devices/system/bpu/bpu0/devfreq/28108000.bpu/cur_freq': '1000000000',
    'sys/devices/system/bpu/bpu0/devfreq/28108000.bpu/max_freq': '1000000000',
    'sys/devices/system/bpu/bpu0/devfreq/28108000.bpu/available_frequencies':
        '500000000 1000000000 1500000000',
}

X3 = {
    'proc/device-tree/model': 'Hobot RDK X3 V2.1',
    'sys/class/socinfo/som_name': '8',
    'sys/devices/system/bpu/core_num': '2',
    'sys/devices/system/bpu/bpu0/ratio': '10',
    'sys/devices/system/bpu/bpu1/ratio': '20',
    'sys/devices/system/bpu/bpu0/devfreq/devfreq1/cur_freq': '1000000000',
    'sys/devices/system/bpu/bpu0/devfreq/devfreq1/governor': 'powersave',
    'sys/devices/system/bpu/bpu1/devfreq/devfreq2/cur_freq': '1000000000',
    'sys/devices/system/bpu/bpu1/devfreq/devfreq2/governor': 'performance',
}


def write_tree(root: Path, files: dict[str, str]) -> Path:
    """Write the files under `root` and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
